#include "pipeline/host_memory.h"

namespace windlass {

HostMemory::HostMemory(const SessionPlan& plan, std::int64_t limit_bytes)
    : budget_(Tier::kHost, limit_bytes),
      tables_(budget_.reserve(Tag::kTables, plan.needs.table_bytes)),
      arena_(plan.placement().arena_bytes()),
      pinned_(arena_.carve(budget_, Tag::kWeights, plan.placement().pinned_bytes)),
      ring_(arena_.carve(budget_, Tag::kRing,
                         plan.placement().ring_slots * plan.placement().slot_bytes)),
      staging_(arena_.carve(budget_, Tag::kStaging, plan.placement().staging_bytes)),
      experts_(arena_.carve(budget_, Tag::kWeights, plan.placement().expert_bytes())),
      activations_(arena_.carve(budget_, Tag::kActivations, plan.placement().activation_bytes)) {
  for (std::int64_t i = 0; i < plan.n_sequences; ++i)
    kv.emplace_back(plan.kv, plan.context_tokens, arena_, budget_);
}

std::span<std::byte> HostMemory::streamed() const {
  return {arena_.at(ring_),
          static_cast<std::size_t>(ring_.size_bytes + staging_.size_bytes + experts_.size_bytes)};
}

void HostMemory::populate() {
  for (const ArenaRange& range : {pinned_, ring_, staging_, experts_, activations_})
    arena_.populate(range);
}

}  // namespace windlass
