// A regular file opened for reading: the one place where model headers touch the operating system.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace windlass {

// Move-less RAII over a descriptor. Thread-safe: reads carry their own offset.
class PosixFile {
 public:
  // Error(kIo) when missing, a directory, or anything but a regular file (never blocks on a FIFO).
  explicit PosixFile(std::string path);
  ~PosixFile();
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;

  const std::string& path() const { return path_; }
  std::int64_t size_bytes() const { return size_bytes_; }
  // Fills `destination` wholly; Error(kIo) naming the offset otherwise (also when the file has
  // shrunk).
  void read_at(std::int64_t offset, std::span<std::byte> destination) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  std::int64_t size_bytes_ = 0;
};

}  // namespace windlass
