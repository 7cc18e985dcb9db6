#include "tools/npy_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "src/base/check.h"
#include "src/base/error.h"
#include "src/base/output_target.h"
#include "src/base/units.h"

namespace windlass {
namespace {

constexpr std::int64_t kDataOffset =
    4096;  // a page, so that rows of a page's multiple stay aligned
constexpr std::int64_t kSyncEvery = 8 * kMiB;

// NumPy's format 1.0: magic, version, u16 header length, a Python dict padded with blanks to end in
// a newline.
std::string npy_header(std::int64_t n_rows, std::int64_t n_columns) {
  std::string header("\x93NUMPY\x01\x00", 8);
  constexpr std::int64_t kDictBytes = kDataOffset - 10;
  header += static_cast<char>(kDictBytes & 0xff);
  header += static_cast<char>(kDictBytes >> 8);
  header += fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", n_rows,
                        n_columns);
  header.resize(kDataOffset - 1, ' ');
  return header + '\n';
}

}  // namespace

NpyWriter::NpyWriter(std::string path, std::int64_t n_rows, std::int64_t n_columns)
    : path_(std::move(path)),
      partial_path_(path_ + ".partial"),
      n_rows_(n_rows),
      n_columns_(n_columns) {
  check_output_target(path_);
  fd_ = ::open(partial_path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) fail(ErrorCode::kIo, "cannot create {}: {}", partial_path_, std::strerror(errno));
  try {
    const std::string header = npy_header(n_rows, n_columns);
    write_at(0, header.data(), static_cast<std::int64_t>(header.size()));
  } catch (...) {
    ::close(fd_);
    ::unlink(partial_path_.c_str());
    throw;
  }
}

NpyWriter::~NpyWriter() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(partial_path_.c_str());
}

void NpyWriter::write_tile(std::int64_t first_row, std::int64_t rows, std::int64_t first_column,
                           std::int64_t columns, const float* data, std::int64_t stride) {
  WINDLASS_CHECK(first_row >= 0 && first_row + rows <= n_rows_, first_row, rows, n_rows_);
  WINDLASS_CHECK(first_column >= 0 && first_column + columns <= n_columns_, first_column, columns,
                 n_columns_);
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t element = (first_row + row) * n_columns_ + first_column;
    write_at(kDataOffset + element * 4, data + row * stride, columns * 4);
  }
  if (unsynced_bytes_ >= kSyncEvery) drop_pages();
}

void NpyWriter::write_at(std::int64_t offset_bytes, const void* data, std::int64_t size_bytes) {
  const char* from = static_cast<const char*>(data);
  unsynced_bytes_ += size_bytes;
  while (size_bytes > 0) {
    const ssize_t written = ::pwrite(fd_, from, static_cast<std::size_t>(size_bytes), offset_bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0)
      fail(ErrorCode::kIo, "cannot write {}: {}", partial_path_, std::strerror(errno));
    from += written;
    offset_bytes += written;
    size_bytes -= written;
  }
}

void NpyWriter::drop_pages() {
  // A file system without either call keeps its pages: the kernel takes them back under pressure,
  // only later.
  if (::sync_file_range(
          fd_, 0, 0,
          SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER) == 0) {
    ::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED);
  }
  unsynced_bytes_ = 0;
}

void NpyWriter::finish() {
  if (::fsync(fd_) != 0 || std::rename(partial_path_.c_str(), path_.c_str()) != 0) {
    fail(ErrorCode::kIo, "cannot finish {}: {}", path_, std::strerror(errno));
  }
  ::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED);
  ::close(fd_);
  fd_ = -1;
}

}  // namespace windlass
