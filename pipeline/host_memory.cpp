#include "pipeline/host_memory.h"

namespace windlass {

HostMemory::HostMemory(const SessionPlan& plan, std::int64_t limit_bytes, const VramMemory* vram)
    : budget_(Tier::kHost, limit_bytes),
      tables_(budget_.reserve(Tag::kTables, plan.needs.table_bytes)),
      arena_(plan.placement().arena_bytes()),
      pinned_(arena_.carve(budget_, Tag::kWeights, plan.placement().pinned_bytes)),
      ring_(arena_.carve(budget_, Tag::kRing,
                         plan.placement().ring_slots * plan.placement().slot_bytes)),
      staging_(arena_.carve(budget_, Tag::kStaging, plan.placement().staging_bytes)),
      experts_(arena_.carve(budget_, Tag::kWeights, plan.placement().expert_bytes())),
      vram_staging_(arena_.carve(budget_, Tag::kStaging, plan.placement().vram.staging_bytes())),
      activations_(arena_.carve(budget_, Tag::kActivations, plan.placement().activation_bytes)) {
  for (std::int64_t i = 0; i < plan.n_sequences; ++i) add_sequence(plan, vram);
}

void HostMemory::add_sequence(const SessionPlan& plan, const VramMemory* vram) {
  if (vram == nullptr) {
    kv.emplace_back(plan.kv, plan.context_tokens, arena_, budget_);
    return;
  }
  const auto sequence = std::ssize(kv);
  std::vector<std::byte*> layers;
  KvShape here = plan.kv;
  here.n_layers = 0;
  for (std::int64_t layer = 0; layer < plan.kv.n_layers; ++layer) {
    layers.push_back(vram->kv_layer(sequence, layer));
    if (layers.back() == nullptr) ++here.n_layers;
  }
  std::byte* next =
      arena_.at(arena_.carve(budget_, Tag::kKv, here.size_bytes(plan.context_tokens)));
  for (std::byte*& memory : layers) {
    if (memory != nullptr) continue;
    memory = next;
    next += plan.kv.layer_bytes(plan.context_tokens);
  }
  kv.emplace_back(plan.kv, plan.context_tokens, layers);
}

std::span<std::byte> HostMemory::streamed() const {
  return {arena_.at(ring_),
          static_cast<std::size_t>(ring_.size_bytes + staging_.size_bytes + experts_.size_bytes +
                                   vram_staging_.size_bytes)};
}

void HostMemory::populate() {
  for (const ArenaRange& range : {pinned_, ring_, staging_, experts_, vram_staging_, activations_})
    arena_.populate(range);
}

}  // namespace windlass
