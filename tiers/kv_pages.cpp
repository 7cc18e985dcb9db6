#include "tiers/kv_pages.h"

#include "src/base/check.h"
#include "src/base/error.h"
#include "src/base/units.h"
#include "tiers/block.h"

namespace windlass {
namespace {

std::int64_t pages_of(std::int64_t tokens) { return (tokens + kKvPageTokens - 1) / kKvPageTokens; }

}  // namespace

std::int64_t KvShape::page_bytes() const {
  const std::int64_t value_bytes = values_in_keys ? 0 : kv_bytes(types.values, value_dim);
  return n_kv_heads * kKvPageTokens * (kv_bytes(types.keys, key_dim) + value_bytes);
}

std::int64_t KvShape::layer_bytes(std::int64_t context_tokens) const {
  return pages_of(context_tokens) * page_bytes();
}

std::int64_t KvShape::size_bytes(std::int64_t context_tokens) const {
  return align_up(n_layers * layer_bytes(context_tokens), kDirectAlignment);
}

std::int64_t KvShape::table_bytes(std::int64_t context_tokens) const {
  return n_layers * pages_of(context_tokens) * static_cast<std::int64_t>(sizeof(std::byte*));
}

namespace {

std::vector<std::byte*> layers_from(std::byte* memory, const KvShape& shape,
                                    std::int64_t context_tokens) {
  std::vector<std::byte*> layers;
  for (std::int64_t layer = 0; layer < shape.n_layers; ++layer)
    layers.push_back(memory + layer * shape.layer_bytes(context_tokens));
  return layers;
}

}  // namespace

KvPages::KvPages(const KvShape& shape, std::int64_t context_tokens,
                 std::span<std::byte* const> layer_memory)
    : shape_(shape), context_tokens_(context_tokens), pages_per_layer_(pages_of(context_tokens)) {
  WINDLASS_CHECK(context_tokens > 0, context_tokens);
  WINDLASS_CHECK(std::ssize(layer_memory) == shape.n_layers, layer_memory.size(), shape.n_layers);
  page_table_.reserve(static_cast<std::size_t>(shape_.n_layers * pages_per_layer_));
  for (std::byte* memory : layer_memory) {
    for (std::int64_t page = 0; page < pages_per_layer_; ++page)
      page_table_.push_back(memory + page * shape_.page_bytes());
  }
}

KvPages::KvPages(const KvShape& shape, std::int64_t context_tokens, Arena& arena, Budget& budget)
    : KvPages(shape, context_tokens,
              layers_from(arena.at(arena.carve(budget, Tag::kKv, shape.size_bytes(context_tokens))),
                          shape, context_tokens)) {}

void KvPages::reserve(std::int64_t n_tokens) {
  WINDLASS_CHECK(n_tokens >= 0, n_tokens);
  if (n_tokens > context_tokens_ - committed_tokens_) {
    fail(ErrorCode::kNoSpace,
         "the context is full: {} more tokens asked, {} of {} are in use; pass -c {} or more",
         n_tokens, committed_tokens_, context_tokens_, committed_tokens_ + n_tokens);
  }
  reserved_tokens_ = committed_tokens_ + n_tokens;
}

void KvPages::commit(std::int64_t n_tokens) {
  WINDLASS_CHECK(n_tokens >= 0 && committed_tokens_ + n_tokens <= reserved_tokens_, n_tokens,
                 committed_tokens_, reserved_tokens_);
  committed_tokens_ += n_tokens;
}

void KvPages::roll_back(std::int64_t n_committed_tokens) {
  WINDLASS_CHECK(n_committed_tokens >= 0 && n_committed_tokens <= committed_tokens_,
                 n_committed_tokens, committed_tokens_);
  committed_tokens_ = n_committed_tokens;
  reserved_tokens_ = n_committed_tokens;
}

std::byte* const* KvPages::pages(std::int64_t layer) const {
  WINDLASS_CHECK(layer >= 0 && layer < shape_.n_layers, layer, shape_.n_layers);
  return page_table_.data() + layer * pages_per_layer_;
}

}  // namespace windlass
