// The direct-mapped word table.
#include "src/text/word_cache.h"

#include <algorithm>
#include <functional>

namespace windlass {

std::size_t WordCache::slot_of(std::string_view word) {
  return std::hash<std::string_view>{}(word) % kSlots;
}

std::span<const std::int32_t> WordCache::find(std::string_view word) const {
  if (word.size() > kWordBytes) return {};
  const Slot& slot = slots_[slot_of(word)];
  if (std::string_view(slot.word.data(), slot.n_bytes) != word) return {};
  return {slot.ids.data(), slot.n_ids};
}

void WordCache::put(std::string_view word, std::span<const std::int32_t> ids) {
  if (word.size() > kWordBytes || ids.size() > kWordIds) return;
  Slot& slot = slots_[slot_of(word)];
  std::copy(word.begin(), word.end(), slot.word.begin());
  std::copy(ids.begin(), ids.end(), slot.ids.begin());
  slot.n_bytes = static_cast<std::uint8_t>(word.size());
  slot.n_ids = static_cast<std::uint8_t>(ids.size());
}

}  // namespace windlass
