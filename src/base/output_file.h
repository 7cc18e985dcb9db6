// A result file, which appears under its name only when it is whole: the one way in which this
// program writes files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "src/base/output_target.h"

namespace windlass {

// Writes a new file of a unique name ending in .partial beside the target, and renames it over the
// target at the end. The target is what a symbolic link points to; what it replaces keeps its
// permissions (and, where the system lets us, its owner). What is on the disk is dropped from the
// page cache as writing goes on, so that a small memory cgroup can write a file of any size:
// written pages count in it until the disk has them. Owner-thread. Errors: Error(kIo) or, for a
// full disk or quota, Error(kNoSpace), naming the file and the bytes written so far; also those of
// resolve_output().
class OutputFile {
 public:
  explicit OutputFile(const std::string& path);
  ~OutputFile();  // removes the partial file unless finish() succeeded
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  // At the end, through a buffer of 256 KiB.
  void write(std::span<const std::byte> bytes);
  // Anywhere, at once. REQUIRES: nothing of write() is still to come before offset_bytes.
  void write_at(std::int64_t offset_bytes, std::span<const std::byte> bytes);
  // A hole of zero bytes: takes no space on the disk.
  void skip(std::int64_t size_bytes);
  // Syncs and renames; returns the file's size in bytes.
  std::int64_t finish();

 private:
  // A stretch of the file, for write-back.
  struct Range {
    std::int64_t begin = 0, end = 0;
  };

  void create_partial();
  void keep_owner_and_mode();
  void flush();
  void count_written(std::int64_t offset_bytes, std::int64_t size_bytes);
  void drop_written_pages();
  void sync_range(const Range& range, unsigned int flags);
  [[noreturn]] void fail_errno(const char* doing, int error) const;

  std::string path_;  // as it was given
  OutputTarget target_;
  std::string partial_path_;
  int descriptor_ = -1;
  std::unique_ptr<std::byte[]> buffer_;  // on the first write()
  std::size_t buffered_bytes_ = 0;
  std::int64_t size_bytes_ = 0;  // the file's length without the buffer
  Range dirty_, queued_;         // written; its write-back was started
  std::int64_t dirty_bytes_ = 0;
};

// A whole small file at once.
void write_whole_file(const std::string& path, std::string_view text);

// Fails now as OutputFile would fail later where `path` is no place to write to.
void probe_output(const std::string& path);

}  // namespace windlass
