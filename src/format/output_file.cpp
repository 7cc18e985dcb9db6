#include "src/format/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "src/base/error.h"
#include "src/base/output_target.h"
#include "src/base/units.h"

namespace windlass {
namespace {

// Dirty pages that may wait at once are twice this: small beside a 64 MiB cgroup's share, large
// beside a disk's request.
constexpr std::int64_t kWriteBackBytes = 8 * kMiB;

}  // namespace

OutputFile::OutputFile(std::string path)
    : path_(std::move(path)),
      partial_path_(path_ + ".partial"),
      buffer_(std::make_unique_for_overwrite<std::byte[]>(kBufferBytes)) {
  check_output_target(path_);
  descriptor_ = ::open(partial_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) {
    fail(ErrorCode::kIo, "{}: cannot create: {}", partial_path_, std::strerror(errno));
  }
}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(partial_path_.c_str());
}

void OutputFile::fail_errno(const char* doing, int error) const {
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  fail(full ? ErrorCode::kNoSpace : ErrorCode::kIo, "{}: {} after {} ({} B): {}", partial_path_,
       doing, format_size(flushed_bytes_), flushed_bytes_, std::strerror(error));
}

void OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::size_t piece = std::min(bytes.size(), kBufferBytes - buffered_bytes_);
    std::memcpy(buffer_.get() + buffered_bytes_, bytes.data(), piece);
    buffered_bytes_ += piece;
    bytes = bytes.subspan(piece);
    if (buffered_bytes_ == kBufferBytes) flush();
  }
}

void OutputFile::flush() {
  const std::byte* data = buffer_.get();
  while (buffered_bytes_ > 0) {
    const ssize_t count = ::pwrite(descriptor_, data, buffered_bytes_, flushed_bytes_);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_errno("writing", errno);
    data += count;
    buffered_bytes_ -= static_cast<std::size_t>(count);
    flushed_bytes_ += count;
  }
  if (flushed_bytes_ - queued_end_ >= kWriteBackBytes) drop_written_pages();
}

// Starts the write-back of the newest pages, waits for that of the older ones and drops them.
void OutputFile::drop_written_pages() {
  sync_range(queued_end_, flushed_bytes_, SYNC_FILE_RANGE_WRITE);
  if (queued_end_ > queued_begin_) {
    sync_range(queued_begin_, queued_end_,
               SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
    ::posix_fadvise(descriptor_, queued_begin_, queued_end_ - queued_begin_, POSIX_FADV_DONTNEED);
  }
  queued_begin_ = queued_end_;
  queued_end_ = flushed_bytes_;
}

// A failed write-back is told once, here or by fsync, so it must not be lost.
// A file system that lacks the call loses nothing but the early write-back.
void OutputFile::sync_range(std::int64_t begin, std::int64_t end, unsigned int flags) {
  if (::sync_file_range(descriptor_, begin, end - begin, flags) == 0) return;
  if (errno == EIO || errno == ENOSPC || errno == EDQUOT) fail_errno("writing back", errno);
}

void OutputFile::skip(std::int64_t size_bytes) {
  flush();
  flushed_bytes_ += size_bytes;
  if (::ftruncate(descriptor_, flushed_bytes_) != 0) fail_errno("extending", errno);
}

std::int64_t OutputFile::finish() {
  flush();
  if (::fsync(descriptor_) != 0) fail_errno("syncing", errno);
  ::posix_fadvise(descriptor_, 0, 0, POSIX_FADV_DONTNEED);
  if (std::rename(partial_path_.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    fail(ErrorCode::kIo, "{}: cannot rename {} to it: {}", path_, partial_path_,
         std::strerror(error));
  }
  ::close(std::exchange(descriptor_, -1));
  return flushed_bytes_;
}

}  // namespace windlass
