#include "tiers/disk_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <system_error>

#include "src/base/error.h"
#include "tiers/block.h"

namespace windlass {
namespace {

std::string errno_text(int error) { return std::generic_category().message(error); }

// Checks that the descriptor is the regular file whose header was read.
void check_unchanged(int fd, const ModelFile& file) {
  struct stat status {};
  if (fstat(fd, &status) != 0) {
    fail(ErrorCode::kIo, "cannot get the size of {}: {}", file.path, errno_text(errno));
  }
  if (!S_ISREG(status.st_mode)) fail(ErrorCode::kIo, "{} is not a regular file", file.path);
  if (status.st_size != file.size_bytes) {
    fail(ErrorCode::kIo,
         "{} changed while it was opened: {} bytes when its header was read, now {}; run again",
         file.path, file.size_bytes, std::int64_t{status.st_size});
  }
}

void read_buffered(DiskFile& file, std::string reason) {
  file.direct = false;
  file.buffered_reason = std::move(reason);
  // Blocks are read whole: readahead past them would only fill the page cache.
  posix_fadvise(file.fd, 0, 0, POSIX_FADV_RANDOM);
}

}  // namespace

std::string probe_direct_read(int fd) {
  const std::unique_ptr<void, decltype(&std::free)> buffer(
      std::aligned_alloc(kDirectAlignment, kDirectAlignment), &std::free);
  ssize_t result = 0;
  do {
    result = pread(fd, buffer.get(), kDirectAlignment, 0);
  } while (result < 0 && errno == EINTR);
  if (result >= 0) return {};
  return fmt::format("a direct read of 4 KiB fails: {}", errno_text(errno));
}

DiskStore::DiskStore(const std::vector<ModelFile>& files, const DirectProbe& probe) {
  files_.reserve(files.size());
  for (const ModelFile& file : files) open_file(file, probe);
}

void DiskStore::open_file(const ModelFile& file, const DirectProbe& probe) {
  std::string refusal;
  int fd = open(file.path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
  if (fd < 0 && errno == EINVAL) {
    refusal = "the file system has no direct I/O";
    fd = open(file.path.c_str(), O_RDONLY | O_CLOEXEC);
  }
  if (fd < 0) fail(ErrorCode::kIo, "cannot open {}: {}", file.path, errno_text(errno));
  descriptors_.emplace_back(fd);
  check_unchanged(fd, file);
  DiskFile opened{file.path, fd, file.size_bytes, true, {}};
  if (refusal.empty()) refusal = probe(fd);
  if (!refusal.empty()) {
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_DIRECT);
    read_buffered(opened, std::move(refusal));
  }
  files_.push_back(std::move(opened));
}

DiskStore::Descriptor::~Descriptor() {
  if (fd >= 0) close(fd);
}

}  // namespace windlass
