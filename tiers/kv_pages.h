// Paged KV store of the host tier (PagedAttention, arXiv 2309.06180, section 4: block tables; ours
// keeps one page table per layer and sequence, pages hold one layer, and there is no copy-on-write
// yet). Pages are carved from the arena once.
#pragma once

#include <cstdint>
#include <vector>

#include "src/ops/kv_type.h"
#include "tiers/arena.h"

namespace windlass {

inline constexpr std::int64_t kKvPageTokens = 64;

struct KvShape {
  std::int64_t n_layers = 0, n_kv_heads = 0;
  std::int64_t key_dim = 0, value_dim = 0;  // of a head
  KvTypes types;
  bool values_in_keys = false;      // a value is the first value_dim elements of its key
  std::int64_t page_bytes() const;  // one page of one layer: K and V, or K alone
  std::int64_t size_bytes(
      std::int64_t context_tokens) const;  // all layers, rounded up to pages, 4 KiB each end
  std::int64_t table_bytes(std::int64_t context_tokens) const;  // heap: the page tables
};

// One sequence's KV: reserve, commit and roll back. Owner-thread.
class KvPages {
 public:
  // Carves size_bytes(context_tokens) under Tag::kKv.
  KvPages(const KvShape& shape, std::int64_t context_tokens, Arena& arena, Budget& budget);
  // Room for n more tokens after the committed ones. Error(kNoSpace) naming context, used and asked
  // when there is none.
  void reserve(std::int64_t n_tokens);
  void commit(std::int64_t n_tokens);               // REQUIRES reserved
  void roll_back(std::int64_t n_committed_tokens);  // keep the first n; later ones are forgotten
  std::int64_t committed_tokens() const { return committed_tokens_; }
  std::int64_t context_tokens() const { return context_tokens_; }
  // The page table of a layer: pages()[i] holds tokens [i * kKvPageTokens, ...).
  std::byte* const* pages(std::int64_t layer) const;
  const KvShape& shape() const { return shape_; }

 private:
  KvShape shape_;
  std::int64_t context_tokens_ = 0, committed_tokens_ = 0, reserved_tokens_ = 0,
               pages_per_layer_ = 0;
  std::vector<std::byte*> page_table_;  // [n_layers, pages_per_layer]
};

}  // namespace windlass
