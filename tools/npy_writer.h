// A float32 matrix as a NumPy file, written tile by tile, with few bytes of it in memory at any
// time.
#pragma once

#include <cstdint>
#include <string>

namespace windlass {

// Owner-thread. The file appears under its name only when finish() succeeded (written beside as
// .partial, then renamed). Law 1: written pages count in a memory cgroup until the disk has them,
// so every few MiB are synced and dropped.
class NpyWriter {
 public:
  NpyWriter(std::string path, std::int64_t n_rows, std::int64_t n_columns);
  ~NpyWriter();  // removes the partial file unless finish() succeeded
  NpyWriter(const NpyWriter&) = delete;
  NpyWriter& operator=(const NpyWriter&) = delete;

  // data [rows, stride] goes to rows from first_row and columns from first_column on.
  void write_tile(std::int64_t first_row, std::int64_t rows, std::int64_t first_column,
                  std::int64_t columns, const float* data, std::int64_t stride);
  void finish();

 private:
  void write_at(std::int64_t offset_bytes, const void* data, std::int64_t size_bytes);
  void drop_pages();

  std::string path_, partial_path_;
  std::int64_t n_rows_, n_columns_;
  int fd_ = -1;
  std::int64_t unsynced_bytes_ = 0;
};

}  // namespace windlass
