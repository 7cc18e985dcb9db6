#include "src/model/metadata.h"

#include <cmath>

#include "src/base/error.h"

namespace windlass {

void Metadata::refuse_array(const std::string& suffix) const {
  if (!table_.arrays.contains(key(suffix))) return;
  fail(ErrorCode::kUnsupported,
       "{}: '{}' is an array (a value for each layer); only one value for all "
       "layers is supported",
       table_.path(), key(suffix));
}

std::int64_t Metadata::require_int(const std::string& suffix, std::int64_t max) const {
  refuse_array(suffix);
  return table_.require_int(key(suffix), 1, max);
}

std::int64_t Metadata::int_or(const std::string& suffix, std::int64_t min, std::int64_t max,
                              std::int64_t otherwise) const {
  refuse_array(suffix);
  return table_.find_int(key(suffix), min, max).value_or(otherwise);
}

double Metadata::float_or(const std::string& suffix, double otherwise) const {
  const double value = table_.find_float(key(suffix)).value_or(otherwise);
  if (!std::isfinite(value)) {
    fail(ErrorCode::kBadFile, "{}: '{}' is {}", table_.path(), key(suffix), value);
  }
  return value;
}

double Metadata::positive_or(const std::string& suffix, double otherwise) const {
  const double value = float_or(suffix, otherwise);
  if (!(value > 0)) {
    fail(ErrorCode::kBadFile, "{}: '{}' is {}, not above 0", table_.path(), key(suffix), value);
  }
  return value;
}

}  // namespace windlass
