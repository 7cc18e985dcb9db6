// Paged KV store of the host tier (PagedAttention, arXiv 2309.06180, section 4: block tables; ours
// keeps one page table per layer and sequence, pages hold one layer, and there is no copy-on-write
// yet). Pages are carved from the arena once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/ops/op_args.h"
#include "tiers/arena.h"

namespace windlass {

inline constexpr std::int64_t kKvPageTokens = 64;
// Keys of a page lie in whole groups, and attention's splits end where pages do.
static_assert(kKvPageTokens % kKvGroupKeys == 0 && kSplitKeys % kKvPageTokens == 0);

struct KvShape {
  std::int64_t n_layers = 0, n_kv_heads = 0;
  std::int64_t key_dim = 0, value_dim = 0;  // of a head
  KvTypes types;
  bool values_in_keys = false;      // a value is the first value_dim elements of its key
  std::int64_t page_bytes() const;  // one page of one layer: K and V, or K alone
  std::int64_t layer_bytes(std::int64_t context_tokens) const;  // in whole pages of tokens
  std::int64_t size_bytes(std::int64_t context_tokens) const;   // all layers, rounded up to 4 KiB
  std::int64_t table_bytes(std::int64_t context_tokens) const;  // heap: the page tables
};

// One sequence's KV: reserve, commit and roll back. Owner-thread.
class KvPages {
 public:
  // layer_memory: for each layer, where its layer_bytes(context_tokens) lie, of whichever tier.
  KvPages(const KvShape& shape, std::int64_t context_tokens,
          std::span<std::byte* const> layer_memory);
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
