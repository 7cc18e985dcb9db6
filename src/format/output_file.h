// A big file written front to back, which appears under its name only when it is whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace windlass {

// Writes PATH.partial through a 1 MiB buffer and drops what is on the disk from the page cache, so
// that a small memory cgroup can write a file of any size. Owner-thread. Errors: Error(kIo) or, for
// a full disk or quota, Error(kNoSpace), naming the file and the bytes written so far.
class OutputFile {
 public:
  explicit OutputFile(std::string path);
  ~OutputFile();  // removes the partial file unless finish() succeeded
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::span<const std::byte> bytes);
  // A hole of zero bytes: takes no space on the disk.
  void skip(std::int64_t size_bytes);
  // Syncs and renames; returns the file's size in bytes.
  std::int64_t finish();

 private:
  void flush();
  void drop_written_pages();
  void sync_range(std::int64_t begin, std::int64_t end, unsigned int flags);
  [[noreturn]] void fail_errno(const char* doing, int error) const;

  static constexpr std::size_t kBufferBytes = std::size_t{1} << 20;

  std::string path_, partial_path_;
  int descriptor_ = -1;
  std::unique_ptr<std::byte[]> buffer_;
  std::size_t buffered_bytes_ = 0;
  std::int64_t flushed_bytes_ = 0;  // the file's length without the buffer
  std::int64_t queued_begin_ = 0;   // write-back of [queued_begin_, queued_end_) was started
  std::int64_t queued_end_ = 0;
};

}  // namespace windlass
