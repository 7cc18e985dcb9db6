// Flat token storage and its open-addressing index.
#include "src/text/vocabulary.h"

#include <bit>
#include <functional>

#include "src/base/check.h"

namespace windlass {

void Vocabulary::reserve(std::int64_t n_tokens, std::int64_t n_bytes) {
  bytes_.reserve(static_cast<std::size_t>(n_bytes));
  begin_.reserve(static_cast<std::size_t>(n_tokens) + 1);
  types_.reserve(static_cast<std::size_t>(n_tokens));
}

void Vocabulary::end_token(TokenType type) {
  WINDLASS_CHECK(bytes_.size() <= UINT32_MAX, bytes_.size());
  begin_.push_back(static_cast<std::uint32_t>(bytes_.size()));
  types_.push_back(type);
}

void Vocabulary::shrink() {
  bytes_.shrink_to_fit();
  begin_.shrink_to_fit();
  types_.shrink_to_fit();
}

std::string_view Vocabulary::token(std::int32_t id) const {
  WINDLASS_CHECK(id >= 0 && id < n_tokens(), id, n_tokens());
  const auto i = static_cast<std::size_t>(id);
  return {bytes_.data() + begin_[i], begin_[i + 1] - begin_[i]};
}

TokenType Vocabulary::type(std::int32_t id) const {
  WINDLASS_CHECK(id >= 0 && id < n_tokens(), id, n_tokens());
  return types_[static_cast<std::size_t>(id)];
}

std::int64_t Vocabulary::size_bytes() const {
  return static_cast<std::int64_t>(bytes_.capacity() + begin_.capacity() * sizeof(begin_[0]) +
                                   types_.capacity() * sizeof(types_[0]));
}

TokenIndex::TokenIndex(const Vocabulary& vocabulary, bool only_text) : vocabulary_(vocabulary) {
  slots_.assign(std::bit_ceil(static_cast<std::size_t>(vocabulary.n_tokens()) * 2 + 1), -1);
  for (std::int32_t id = 0; id < vocabulary.n_tokens(); ++id) {
    const TokenType type = vocabulary.type(id);
    if (only_text && type != TokenType::kNormal && type != TokenType::kUnused) continue;
    std::int32_t& slot = slots_[slot_of(vocabulary.token(id))];
    const bool replaces_special =
        slot >= 0 && vocabulary.type(slot) != TokenType::kNormal && type == TokenType::kNormal;
    if (slot < 0 || replaces_special) slot = id;
  }
}

std::optional<std::int32_t> TokenIndex::find(std::string_view bytes) const {
  const std::int32_t id = slots_[slot_of(bytes)];
  return id < 0 ? std::nullopt : std::optional(id);
}

std::size_t TokenIndex::slot_of(std::string_view bytes) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = std::hash<std::string_view>{}(bytes)&mask;
  while (slots_[slot] >= 0 && vocabulary_.token(slots_[slot]) != bytes) slot = (slot + 1) & mask;
  return slot;
}

}  // namespace windlass
