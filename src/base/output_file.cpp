#include "src/base/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <random>
#include <utility>

#include "src/base/check.h"
#include "src/base/error.h"
#include "src/base/units.h"

namespace windlass {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{256} << 10;
// Dirty pages that may wait at once are twice this: small beside a 64 MiB cgroup's share, large
// beside a disk's request.
constexpr std::int64_t kWriteBackBytes = 8 * kMiB;
constexpr std::int64_t kPageBytes = 4096;
// File systems take names of 255 bytes; 18 of them are ".XXXXXXXX.partial" here.
constexpr std::size_t kMostNameBytes = 200;

std::string random_letters() {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::random_device random;
  std::string text(8, '\0');
  for (char& letter : text) letter = kLetters[random() % kLetters.size()];
  return text;
}

}  // namespace

OutputFile::OutputFile(const std::string& path) : path_(path), target_(resolve_output(path)) {
  create_partial();
  if (target_.exists) keep_owner_and_mode();
}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(partial_path_.c_str());
}

// O_EXCL: a file that somebody else called so is never touched.
void OutputFile::create_partial() {
  const std::filesystem::path target(target_.path);
  const std::string name = target.filename().string().substr(0, kMostNameBytes);
  const mode_t mode = target_.exists ? target_.mode & 0600 : 0666;
  do {
    partial_path_ = target.parent_path() / (name + "." + random_letters() + ".partial");
    descriptor_ = ::open(partial_path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ >= 0) return;
  const int error = errno;
  const bool full = error == ENOSPC || error == EDQUOT;
  fail(full ? ErrorCode::kNoSpace : ErrorCode::kIo, "{}: cannot create a file there: {}", path_,
       std::strerror(error));
}

// The owner first: changing it takes set-user-id bits away. Who may not give files away keeps them.
void OutputFile::keep_owner_and_mode() {
  struct stat status {};
  const bool same = ::fstat(descriptor_, &status) == 0 && status.st_uid == target_.owner &&
                    status.st_gid == target_.group;
  const bool given = same || ::fchown(descriptor_, target_.owner, target_.group) == 0;
  // Another group must not gain what the old one was allowed.
  const mode_t mode = given ? target_.mode : target_.mode & 0707;
  static_cast<void>(::fchmod(descriptor_, mode));  // else it stays the owner's alone
}

void OutputFile::fail_errno(const char* doing, int error) const {
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  fail(full ? ErrorCode::kNoSpace : ErrorCode::kIo, "{}: {} after {} ({} B): {}", path_, doing,
       format_size(size_bytes_), size_bytes_, std::strerror(error));
}

void OutputFile::write(std::span<const std::byte> bytes) {
  if (!buffer_) buffer_ = std::make_unique_for_overwrite<std::byte[]>(kBufferBytes);
  while (!bytes.empty()) {
    const std::size_t piece = std::min(bytes.size(), kBufferBytes - buffered_bytes_);
    std::memcpy(buffer_.get() + buffered_bytes_, bytes.data(), piece);
    buffered_bytes_ += piece;
    bytes = bytes.subspan(piece);
    if (buffered_bytes_ == kBufferBytes) flush();
  }
}

void OutputFile::flush() {
  if (buffered_bytes_ == 0) return;
  write_at(size_bytes_, {buffer_.get(), std::exchange(buffered_bytes_, 0)});
}

void OutputFile::write_at(std::int64_t offset_bytes, std::span<const std::byte> bytes) {
  WINDLASS_CHECK(offset_bytes >= 0 && buffered_bytes_ == 0, offset_bytes, buffered_bytes_);
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(descriptor_, bytes.data(), bytes.size(), offset_bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_errno("writing", errno);
    count_written(offset_bytes, count);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset_bytes += count;
  }
}

// Counts whole pages: a few bytes make a page dirty.
void OutputFile::count_written(std::int64_t offset_bytes, std::int64_t size_bytes) {
  const std::int64_t end = offset_bytes + size_bytes;
  size_bytes_ = std::max(size_bytes_, end);
  dirty_.begin = dirty_bytes_ == 0 ? offset_bytes : std::min(dirty_.begin, offset_bytes);
  dirty_.end = dirty_bytes_ == 0 ? end : std::max(dirty_.end, end);
  dirty_bytes_ += align_up(end, kPageBytes) - align_down(offset_bytes, kPageBytes);
  if (dirty_bytes_ >= kWriteBackBytes) drop_written_pages();
}

// Starts the write-back of the newest pages, waits for that of the older ones and drops them.
void OutputFile::drop_written_pages() {
  sync_range(dirty_, SYNC_FILE_RANGE_WRITE);
  if (queued_.end > queued_.begin) {
    sync_range(queued_,
               SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
    ::posix_fadvise(descriptor_, queued_.begin, queued_.end - queued_.begin, POSIX_FADV_DONTNEED);
  }
  queued_ = dirty_;
  dirty_bytes_ = 0;
}

// A failed write-back is told once, here or by fsync, so it must not be lost.
// A file system that lacks the call loses nothing but the early write-back.
void OutputFile::sync_range(const Range& range, unsigned int flags) {
  if (::sync_file_range(descriptor_, range.begin, range.end - range.begin, flags) == 0) return;
  if (errno == EIO || errno == ENOSPC || errno == EDQUOT) fail_errno("writing back", errno);
}

void OutputFile::skip(std::int64_t size_bytes) {
  flush();
  if (::ftruncate(descriptor_, size_bytes_ + size_bytes) != 0) fail_errno("extending", errno);
  size_bytes_ += size_bytes;
}

std::int64_t OutputFile::finish() {
  flush();
  if (::fsync(descriptor_) != 0) fail_errno("syncing", errno);
  ::posix_fadvise(descriptor_, 0, 0, POSIX_FADV_DONTNEED);
  if (std::rename(partial_path_.c_str(), target_.path.c_str()) != 0) {
    const int error = errno;
    fail(ErrorCode::kIo, "{}: cannot rename {} to it: {}", path_, partial_path_,
         std::strerror(error));
  }
  ::close(std::exchange(descriptor_, -1));
  return size_bytes_;
}

void write_whole_file(const std::string& path, std::string_view text) {
  OutputFile file(path);
  file.write(std::as_bytes(std::span(text)));
  file.finish();
}

void probe_output(const std::string& path) { const OutputFile probe(path); }

}  // namespace windlass
