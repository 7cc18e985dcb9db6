#include "tests/pipeline/rig.h"

#include <algorithm>

#include "pipeline/expert_runs.h"

namespace windlass::test {
namespace {

constexpr std::int64_t kStagingBytes = 16 * 2 * kDirectAlignment;

std::int64_t ring_bytes(const Placement& placement) {
  return placement.ring_slots * placement.slot_bytes;
}

}  // namespace

Rig::Rig(const RigModel& model, const RigOptions& options)
    : layout_(make_activation_layout(model.graph, model.spec, options.token_rows,
                                     options.logits_rows, options.tile_columns, 2048)),
      memory_(options.placement.pinned_bytes + ring_bytes(options.placement) +
              options.placement.expert_bytes() + kDirectAlignment),
      activations_(layout_.size_bytes),
      staging_(kStagingBytes),
      store_(model.tensors.files),
      expert_runs_(expert_runs(model.graph, model.blocks)),
      io(options.faults),
      tiers(model.tensors, model.blocks, store_, io, TierManagerOptions{}),
      team_(options.threads),
      rope_(model.spec.rope, {}),
      runner_({{model.tensors, model.spec, model.graph, layout_, layout_, rope_, rope_,
                activations_.data()},
               {cpu_op_table(Isa::kScalar), team_},
               tiers,
               staging_.span()}),
      ring(tiers, memory_.data() + options.placement.pinned_bytes, options.placement.ring_slots,
           options.placement.slot_bytes),
      experts(tiers, expert_runs_,
              {memory_.data() + options.placement.pinned_bytes + ring_bytes(options.placement),
               nullptr, options.placement.expert_slots, 0, options.placement.expert_slot_bytes}),
      executor(tiers, runner_, ring, experts, 64, options.overlap, nullptr) {
  std::vector<TierManager::Placed> placed;
  for (const PlacedRun& run : options.placement.pinned) {
    placed.push_back({run.run, memory_.data() + run.arena_offset_bytes});
  }
  tiers.load_all(placed, [](std::int64_t) {});
}

std::vector<float> Rig::play(const Plan& plan, std::span<const Span> spans, std::int64_t n_columns,
                             const Plan* next) {
  StepInput step{spans, {}};
  std::vector<float> logits(static_cast<std::size_t>(step.logits_rows() * n_columns), -1e30F);
  step.sink = [&](const StepLogits& tile) {
    for (std::int64_t row = 0; row < tile.rows; ++row) {
      std::copy_n(tile.data + row * tile.stride, tile.columns,
                  logits.data() + row * n_columns + tile.first_column);
    }
  };
  executor.play(plan, step, next);
  for (const Span& span : spans) {
    if (span.kv != nullptr) span.kv->commit(std::ssize(span.ids));
  }
  return logits;
}

}  // namespace windlass::test
