// The sorted ids and the binary searches in them.
#include "src/text/prefix_index.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace windlass {

PrefixIndex::PrefixIndex(const Vocabulary& vocabulary, std::vector<std::int32_t> ids)
    : vocabulary_(vocabulary), ids_(std::move(ids)) {
  std::erase_if(ids_, [&](std::int32_t id) { return vocabulary.token(id).empty(); });
  std::sort(ids_.begin(), ids_.end(), [&](std::int32_t a, std::int32_t b) {
    return std::tuple(vocabulary.token(a), a) < std::tuple(vocabulary.token(b), b);
  });
  ids_.shrink_to_fit();
  for (const std::int32_t id : ids_) {
    ++begin_[static_cast<unsigned char>(vocabulary.token(id).front()) + 1u];
  }
  for (std::size_t byte = 0; byte < 256; ++byte) begin_[byte + 1] += begin_[byte];
}

PrefixIndex::Range PrefixIndex::narrow(Range range, std::size_t n_walked, char byte) const {
  const int wanted = static_cast<unsigned char>(byte);
  const std::uint32_t begin = end_of(range, n_walked, wanted - 1);
  return {begin, end_of({begin, range.end}, n_walked, wanted)};
}

PrefixIndex::Range PrefixIndex::exact(Range range, std::size_t n_walked) const {
  std::uint32_t end = range.begin;
  while (end < range.end && byte_after(end, n_walked) < 0) ++end;
  return {range.begin, end};
}

std::uint32_t PrefixIndex::end_of(Range range, std::size_t n_walked, int byte) const {
  while (!range.empty()) {
    const std::uint32_t middle = range.begin + (range.end - range.begin) / 2;
    if (byte_after(middle, n_walked) <= byte) {
      range.begin = middle + 1;
    } else {
      range.end = middle;
    }
  }
  return range.end;
}

std::int64_t PrefixIndex::size_bytes() const {
  return static_cast<std::int64_t>(ids_.capacity() * sizeof(ids_[0]));
}

}  // namespace windlass
