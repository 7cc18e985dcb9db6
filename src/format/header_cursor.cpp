#include "src/format/header_cursor.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace windlass {

static_assert(std::endian::native == std::endian::little, "numbers are read as they lie");

HeaderCursor::HeaderCursor(const ReadAt& read_at, const std::string& path, std::int64_t begin,
                           std::int64_t end)
    : read_at_(read_at),
      path_(path),
      offset_(begin),
      end_(end),
      buffer_(std::make_unique_for_overwrite<std::byte[]>(kBufferBytes)) {}

void HeaderCursor::require(std::int64_t size_bytes, const char* what) const {
  if (size_bytes > remaining()) {
    fail_at(offset_, "the file ends inside {}: {} B needed, {} B left; is it truncated?", what,
            size_bytes, remaining());
  }
}

void HeaderCursor::refill() {
  const std::int64_t size = std::min(kBufferBytes, remaining());
  read_at_(offset_, {buffer_.get(), static_cast<std::size_t>(size)});
  bytes_read_ += size;
  buffer_begin_ = offset_;
  buffer_end_ = offset_ + size;
}

void HeaderCursor::read_bytes(void* destination, std::int64_t size_bytes, const char* what) {
  require(size_bytes, what);
  auto* out = static_cast<std::byte*>(destination);
  while (size_bytes > 0) {
    if (offset_ < buffer_begin_ || offset_ >= buffer_end_) refill();
    const std::int64_t piece = std::min(size_bytes, buffer_end_ - offset_);
    std::memcpy(out, buffer_.get() + (offset_ - buffer_begin_), static_cast<std::size_t>(piece));
    out += piece;
    offset_ += piece;
    size_bytes -= piece;
  }
}

std::int64_t HeaderCursor::read_length(std::int64_t max_bytes, const char* what) {
  const std::int64_t at = offset_;
  const auto length = read<std::uint64_t>(what);
  if (length > static_cast<std::uint64_t>(max_bytes)) {
    fail_at(at, "the length of {} is {} B, more than the {} B allowed", what, length, max_bytes);
  }
  if (length > static_cast<std::uint64_t>(remaining())) {
    fail_at(at, "the length of {} is {} B, but {} B are left in the file", what, length,
            remaining());
  }
  return static_cast<std::int64_t>(length);
}

std::string HeaderCursor::read_string(std::int64_t max_bytes, const char* what) {
  std::string text;
  read_string_into(text, max_bytes, what);
  return text;
}

void HeaderCursor::read_string_into(std::string& text, std::int64_t max_bytes, const char* what) {
  const std::int64_t length = read_length(max_bytes, what);
  text.resize(static_cast<std::size_t>(length));
  read_bytes(text.data(), length, what);
}

void HeaderCursor::skip_string(const char* what) {
  skip(read_length(std::numeric_limits<std::int64_t>::max(), what), what);
}

void HeaderCursor::skip(std::int64_t size_bytes, const char* what) {
  require(size_bytes, what);
  offset_ += size_bytes;
}

}  // namespace windlass
