#include "src/base/resumable_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sstream>
#include <utility>
#include <vector>

#include "src/base/checksum.h"
#include "src/base/error.h"
#include "src/base/units.h"

namespace windlass {
namespace {

constexpr std::int64_t kReadBytes = kMiB;
constexpr std::int64_t kWriteBackBytes = 8 * kMiB;  // as OutputFile

// The journal's first line, which ends in the identity; a record is "offset size checksum".
constexpr std::string_view kTitle = "windlass journal 1 ";
std::string first_line(std::uint64_t identity) {
  return fmt::format("{}{:016x}\n", kTitle, identity);
}

int open_file(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (descriptor < 0) {
    fail(ErrorCode::kIo, "{}: cannot open for writing: {}", path, std::strerror(errno));
  }
  return descriptor;
}

bool read_whole(int descriptor, std::int64_t offset, std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::pread(descriptor, bytes.data(), bytes.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += count;
  }
  return true;
}

std::string read_text(int descriptor) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) return {};
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  return read_whole(descriptor, 0, std::as_writable_bytes(std::span(text))) ? text : "";
}

}  // namespace

ResumableFile::ResumableFile(const std::string& path, std::uint64_t identity)
    : path_(path), target_(resolve_output(path)) {
  partial_path_ = target_.path + ".partial";
  journal_path_ = partial_path_ + ".journal";
  descriptor_ = open_file(partial_path_);
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    ::close(std::exchange(descriptor_, -1));
    fail(ErrorCode::kUsage, "{}: another process is writing it ({} is locked)", path_,
         partial_path_);
  }
  try {
    journal_ = open_file(journal_path_);
    take_up(identity);
  } catch (...) {
    ::close(descriptor_);
    if (journal_ >= 0) ::close(journal_);
    throw;
  }
}

ResumableFile::~ResumableFile() {
  // Nothing to go on from: as if it had never been.
  if (journal_ >= 0 && size_bytes_ == 0) {
    ::unlink(partial_path_.c_str());
    ::unlink(journal_path_.c_str());
  }
  if (descriptor_ >= 0) ::close(descriptor_);
  if (journal_ >= 0) ::close(journal_);
}

void ResumableFile::fail_errno(const char* doing, int error) const {
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  fail(full ? ErrorCode::kNoSpace : ErrorCode::kIo,
       "{}: {} after {} ({} B): {}; what is done stays in {}", path_, doing,
       format_size(size_bytes_), size_bytes_, std::strerror(error), partial_path_);
}

// Whole pieces at the start of the partial file, by the records of a journal without its first
// line.
std::int64_t ResumableFile::checked_bytes(const std::string& journal) const {
  std::istringstream records(journal);
  std::int64_t offset = 0, size = 0, checked = 0;
  std::uint64_t checksum = 0;
  for (std::string line; std::getline(records, line);) {
    const bool complete = !records.eof();  // ends with its newline
    std::istringstream fields(line);
    if (!complete || !(fields >> offset >> size >> std::hex >> checksum)) break;
    if (offset != checked || size <= 0 || size > (std::int64_t{1} << 60)) break;
    if (!has_checksum(offset, offset + size, checksum)) break;
    checked += size;
  }
  return checked;
}

bool ResumableFile::has_checksum(std::int64_t begin, std::int64_t end,
                                 std::uint64_t expected) const {
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min(kReadBytes, end - begin)));
  std::uint64_t sum = 0;
  for (std::int64_t at = begin; at < end;) {
    const std::int64_t size = std::min(kReadBytes, end - at);
    const std::span<std::byte> bytes = std::span(buffer).first(static_cast<std::size_t>(size));
    if (!read_whole(descriptor_, at, bytes)) return false;
    sum = checksum64(bytes, sum);
    at += size;
  }
  ::posix_fadvise(descriptor_, begin, end - begin, POSIX_FADV_DONTNEED);
  return sum == expected;
}

// What is there and has no journal of ours is somebody else's.
void ResumableFile::require_own(const std::string& journal) const {
  struct stat partial {};
  if (::fstat(descriptor_, &partial) != 0) fail_errno("looking at the partial file", errno);
  if (journal.starts_with(kTitle) || (journal.empty() && partial.st_size == 0)) return;
  if (journal.empty()) ::unlink(journal_path_.c_str());
  fail(ErrorCode::kUsage,
       "{}: would be written as {}, but that is there and is no unfinished file of this program: "
       "move it away",
       path_, journal.empty() ? partial_path_ : journal_path_);
}

// Keeps what is whole of an earlier run with this identity, and starts the journal anew: the file
// may have shrunk.
void ResumableFile::take_up(std::uint64_t identity) {
  const std::string journal = read_text(journal_), line = first_line(identity);
  require_own(journal);
  std::string kept = line;
  if (journal.starts_with(line)) {
    size_bytes_ = checked_bytes(journal.substr(line.size()));
    std::istringstream records(journal.substr(line.size()));
    std::int64_t offset = 0;
    for (std::string record; std::getline(records, record);) {
      if (std::istringstream(record) >> offset && offset < size_bytes_) kept += record + "\n";
      if (offset >= size_bytes_) break;
    }
  }
  queued_begin_ = queued_end_ = size_bytes_;
  if (::ftruncate(descriptor_, size_bytes_) != 0) fail_errno("truncating", errno);
  // Overwritten and then cut: at no time is it another's.
  write_all(journal_, std::as_bytes(std::span(kept)), 0);
  if (::ftruncate(journal_, std::ssize(kept)) != 0) fail_errno("truncating", errno);
  journal_bytes_ = std::ssize(kept);
}

void ResumableFile::write_all(int descriptor, std::span<const std::byte> bytes,
                              std::int64_t offset) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(descriptor, bytes.data(), bytes.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_errno("writing", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += count;
  }
}

// The piece, then its record: a record never speaks of bytes that were not handed to the system.
// (After a loss of power it may; then the checksum tells.)
void ResumableFile::append(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  write_all(descriptor_, bytes, size_bytes_);
  std::uint64_t sum = 0;
  for (std::span<const std::byte> rest = bytes; !rest.empty();) {
    const std::size_t size = std::min(rest.size(), static_cast<std::size_t>(kReadBytes));
    sum = checksum64(rest.first(size), sum);
    rest = rest.subspan(size);
  }
  const std::string record = fmt::format("{} {} {:016x}\n", size_bytes_, bytes.size(), sum);
  size_bytes_ += std::ssize(bytes);
  write_all(journal_, std::as_bytes(std::span(record)), journal_bytes_);
  journal_bytes_ += std::ssize(record);
  if (size_bytes_ - queued_end_ >= kWriteBackBytes) drop_written_pages();
}

// Starts the write-back of the newest pages, waits for that of the older ones and drops them. A
// failed write-back is told once, here or by fsync, so it must not be lost.
void ResumableFile::drop_written_pages() {
  const auto sync = [this](std::int64_t begin, std::int64_t end, unsigned flags) {
    if (::sync_file_range(descriptor_, begin, end - begin, flags) == 0) return;
    if (errno == EIO || errno == ENOSPC || errno == EDQUOT) fail_errno("writing back", errno);
  };
  sync(queued_end_, size_bytes_, SYNC_FILE_RANGE_WRITE);
  if (queued_end_ > queued_begin_) {
    sync(queued_begin_, queued_end_,
         SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
    ::posix_fadvise(descriptor_, queued_begin_, queued_end_ - queued_begin_, POSIX_FADV_DONTNEED);
  }
  queued_begin_ = queued_end_;
  queued_end_ = size_bytes_;
}

void ResumableFile::finish() {
  if (::fsync(descriptor_) != 0) fail_errno("syncing", errno);
  ::posix_fadvise(descriptor_, 0, 0, POSIX_FADV_DONTNEED);
  if (target_.exists) {
    static_cast<void>(::fchmod(descriptor_, target_.mode));  // else it keeps what it has
  }
  if (std::rename(partial_path_.c_str(), target_.path.c_str()) != 0) {
    fail(ErrorCode::kIo, "{}: cannot rename {} to it: {}", path_, partial_path_,
         std::strerror(errno));
  }
  ::unlink(journal_path_.c_str());
  ::close(std::exchange(descriptor_, -1));
  ::close(std::exchange(journal_, -1));
}

}  // namespace windlass
