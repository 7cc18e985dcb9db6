// Reads the header of a model file front to back through one small buffer; no read leaves the
// stated range.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

#include "src/base/error.h"
#include "src/format/read_at.h"

namespace windlass {

// Owner-thread. Every failure is Error(kBadFile) with the path and the byte offset of the field
// that is wrong.
class HeaderCursor {
 public:
  // Reads bytes [begin, end) of the source. `read_at` and `path` must outlive the cursor.
  HeaderCursor(const ReadAt& read_at, const std::string& path, std::int64_t begin,
               std::int64_t end);

  std::int64_t offset() const { return offset_; }
  std::int64_t remaining() const { return end_ - offset_; }
  // Bytes asked of the source so far.
  std::int64_t bytes_read() const { return bytes_read_; }

  // A little-endian number; `what` names it in the error ("the tensor count").
  template <typename T>
  T read(const char* what) {
    static_assert(std::is_arithmetic_v<T>);
    T value;
    read_bytes(&value, static_cast<std::int64_t>(sizeof(T)), what);
    return value;
  }
  // A 64-bit length, then that many bytes. The length is checked against `max` and the remaining
  // bytes first.
  std::string read_string(std::int64_t max_bytes, const char* what);
  // As read_string, but only moves past it.
  void skip_string(const char* what);
  // Reuses `text`'s memory.
  void read_string_into(std::string& text, std::int64_t max_bytes, const char* what);
  void skip(std::int64_t size_bytes, const char* what);

  // Throws Error(kBadFile) "path: byte N: ...".
  template <typename... Args>
  [[noreturn]] void fail_at(std::int64_t at, fmt::format_string<Args...> format,
                            Args&&... args) const {
    throw Error(ErrorCode::kBadFile, fmt::format("{}: byte {}: {}", path_, at,
                                                 fmt::format(format, std::forward<Args>(args)...)));
  }

 private:
  // A length that a following field claims, checked against `max_bytes` and the file.
  std::int64_t read_length(std::int64_t max_bytes, const char* what);
  void read_bytes(void* destination, std::int64_t size_bytes, const char* what);
  void require(std::int64_t size_bytes, const char* what) const;
  void refill();

  static constexpr std::int64_t kBufferBytes = 64 * 1024;

  const ReadAt& read_at_;
  const std::string& path_;
  std::int64_t offset_;
  std::int64_t end_;
  std::int64_t bytes_read_ = 0;
  std::int64_t buffer_begin_ = 0, buffer_end_ = 0;  // the bytes of the source that buffer_ holds
  std::unique_ptr<std::byte[]> buffer_;
};

}  // namespace windlass
