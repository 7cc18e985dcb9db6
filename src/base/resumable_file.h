// A result file that survives its writer: what a killed run has written is found, checked and gone
// on from by the next one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "src/base/output_target.h"

namespace windlass {

// Writes PATH.partial front to back in pieces, and beside it PATH.partial.journal, which holds
// offset, size and checksum of each piece once it is written. finish() renames the one over PATH
// and removes the other; without finish() both stay, unless nothing was written. `identity` says
// what is being written: a partial of another identity is thrown away, and so is what follows the
// first piece whose bytes do not have their checksum. Files of these names that are not of an
// earlier run are refused (Error(kUsage)) and stay as they are. What is on the disk is dropped from
// the page cache as writing goes on. Owner-thread. A second writer of the same PATH is refused
// (Error(kUsage)) while the first lives, in any process. Other errors as OutputFile.
class ResumableFile {
 public:
  // Cost: reads what is there once, through a buffer of 1 MiB.
  ResumableFile(const std::string& path, std::uint64_t identity);
  ~ResumableFile();
  ResumableFile(const ResumableFile&) = delete;
  ResumableFile& operator=(const ResumableFile&) = delete;

  // Bytes that are there and whole: where the next piece goes. Ends where an append() ended.
  std::int64_t size_bytes() const { return size_bytes_; }
  // One piece, at once.
  void append(std::span<const std::byte> bytes);
  // Syncs and renames.
  void finish();
  // For messages: the name of the unfinished file.
  const std::string& partial_path() const { return partial_path_; }

 private:
  std::int64_t checked_bytes(const std::string& journal) const;
  bool has_checksum(std::int64_t begin, std::int64_t end, std::uint64_t expected) const;
  void require_own(const std::string& journal) const;
  void take_up(std::uint64_t identity);
  void write_all(int descriptor, std::span<const std::byte> bytes, std::int64_t offset);
  void drop_written_pages();
  [[noreturn]] void fail_errno(const char* doing, int error) const;

  std::string path_, partial_path_, journal_path_;
  OutputTarget target_;
  int descriptor_ = -1, journal_ = -1;
  std::int64_t size_bytes_ = 0, journal_bytes_ = 0;
  std::int64_t queued_begin_ = 0, queued_end_ = 0;  // write-back of this stretch was started
};

}  // namespace windlass
