// Values under an architecture's metadata keys, "gemma2.attention.head_count", checked as they are read.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "src/format/tensor_table.h"

namespace windlass {

// Bounds far above any model, so low that products of two of them cannot overflow.
inline constexpr std::int64_t kMaxLayers = 1 << 14;
inline constexpr std::int64_t kMaxWidth = 1 << 24;
inline constexpr std::int64_t kMaxHeads = 1 << 16;
inline constexpr std::int64_t kMaxPosition = std::numeric_limits<std::int32_t>::max();

// Errors of all: Error(kBadFile) naming file, key and value for one of another type, outside its range or not finite;
// Error(kUnsupported) for an array where one value for all layers is meant.
class Metadata {
 public:
  Metadata(const TensorTable& table, std::string architecture)
      : table_(table), prefix_(std::move(architecture) + ".") {}

  std::string key(const std::string& suffix) const { return prefix_ + suffix; }
  bool has(const std::string& suffix) const { return table_.metadata.contains(key(suffix)); }
  const std::string* text(const std::string& suffix) const { return table_.find_string(key(suffix)); }
  std::int64_t require_int(const std::string& suffix, std::int64_t max) const;  // 1 to max
  std::int64_t int_or(const std::string& suffix, std::int64_t min, std::int64_t max, std::int64_t otherwise) const;
  double float_or(const std::string& suffix, double otherwise) const;
  double positive_or(const std::string& suffix, double otherwise) const;

 private:
  void refuse_array(const std::string& suffix) const;

  const TensorTable& table_;
  const std::string prefix_;
};

}  // namespace windlass
