// Sets of code points as sorted ranges.
#include <algorithm>

#include "src/text/grammar/expression.h"

namespace windlass {

std::vector<CodeRange> merge_ranges(std::vector<CodeRange> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const CodeRange& a, const CodeRange& b) { return a.first < b.first; });
  std::vector<CodeRange> merged;
  for (const CodeRange& range : ranges) {
    if (!merged.empty() && range.first <= merged.back().last + 1) {
      merged.back().last = std::max(merged.back().last, range.last);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

std::vector<CodeRange> negate_ranges(std::vector<CodeRange> ranges) {
  ranges.push_back({0xD800, 0xDFFF});  // surrogates are no characters
  std::vector<CodeRange> rest;
  std::int32_t next = 0;
  for (const CodeRange& range : merge_ranges(std::move(ranges))) {
    if (range.first > next) rest.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= 0x10FFFF) rest.push_back({next, 0x10FFFF});
  return rest;
}

}  // namespace windlass
