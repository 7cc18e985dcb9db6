#include "src/format/posix_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "src/base/error.h"

namespace windlass {
namespace {

const char* kind_of_file(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

}  // namespace

PosixFile::PosixFile(std::string path) : path_(std::move(path)) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer; regular files ignore it.
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) {
    fail(ErrorCode::kIo, "{}: cannot open: {}", path_, std::strerror(errno));
  }
  struct stat status = {};
  const bool known = ::fstat(descriptor_, &status) == 0;
  if (known && S_ISREG(status.st_mode)) {
    size_bytes_ = status.st_size;
    return;
  }
  const int error = errno;
  ::close(descriptor_);
  if (!known) fail(ErrorCode::kIo, "{}: cannot stat: {}", path_, std::strerror(error));
  fail(ErrorCode::kIo, "{}: is {}; a model must be a regular file", path_,
       kind_of_file(status.st_mode));
}

PosixFile::~PosixFile() { ::close(descriptor_); }

void PosixFile::read_at(std::int64_t offset, std::span<std::byte> destination) const {
  while (!destination.empty()) {
    const ssize_t count = ::pread(descriptor_, destination.data(), destination.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      fail(ErrorCode::kIo, "{}: reading {} B at byte {}: {}", path_, destination.size(), offset,
           std::strerror(errno));
    }
    if (count == 0) {
      fail(ErrorCode::kIo,
           "{}: the file ends at byte {}, {} B short of the size it had when opened", path_, offset,
           destination.size());
    }
    offset += count;
    destination = destination.subspan(static_cast<std::size_t>(count));
  }
}

}  // namespace windlass
