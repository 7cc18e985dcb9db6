#include "tests/pipeline/gpu_rig.h"

#include <algorithm>

namespace windlass::test {
namespace {

KvShape kv_shape(const ModelSpec& spec) { return Sequence::shape_of(spec); }

// Pages are pinned whole.
std::span<std::byte> pages_of(const AlignedMemory& memory) { return memory.span(); }

std::vector<KvPages> make_sequences(const KvShape& shape, const GpuRigOptions& options,
                                    const VramMemory& vram, std::byte* host) {
  std::vector<KvPages> sequences;
  for (std::int64_t s = 0; s < options.n_sequences; ++s) {
    std::vector<std::byte*> layers;
    for (std::int64_t layer = 0; layer < shape.n_layers; ++layer) {
      std::byte* in_vram = vram.kv_layer(s, layer);
      const std::int64_t index = s * shape.n_layers + layer;
      layers.push_back(
          in_vram != nullptr ? in_vram : host + index * shape.layer_bytes(options.context_tokens));
    }
    sequences.emplace_back(shape, options.context_tokens, layers);
  }
  return sequences;
}

}  // namespace

GpuRig::GpuRig(const RigModel& model, const GpuRigOptions& options, SimulatedGpu& simulated)
    : n_vocab_(model.spec.n_vocab),
      layout_(make_activation_layout(model.graph, model.spec, options.token_rows,
                                     options.logits_rows, options.placement.vram.tile_columns,
                                     options.context_tokens)),
      pinned_(options.placement.pinned_bytes + kDirectAlignment),
      ring_(options.placement.ring_slots * options.placement.slot_bytes + kDirectAlignment),
      activations_(layout_.size_bytes),
      staging_(16 * 2 * kDirectAlignment),
      vram_staging_(options.placement.vram.staging_bytes()),
      store_(model.tensors.files),
      io(options.faults),
      tiers(model.tensors, model.blocks, store_, io, TierManagerOptions{}),
      vram(get_or_fail(simulated.device().reserve(VramMemory::size_bytes(options.placement.vram))),
           options.placement.vram, kv_shape(model.spec), options.context_tokens,
           std::int64_t{1} << 40),
      kv_memory(options.n_sequences * kv_shape(model.spec).size_bytes(options.context_tokens)),
      sequences(make_sequences(kv_shape(model.spec), options, vram, kv_memory.data())),
      team_(2),
      rope_(model.spec.rope, {}),
      runner_({{model.tensors, model.spec, model.graph, layout_, layout_, rope_, rope_,
                activations_.data()},
               {cpu_op_table(options.isa), team_},
               tiers,
               staging_.span()}),
      ring_loads_(tiers, ring_.data(), options.placement.ring_slots, options.placement.slot_bytes),
      experts_(tiers, {}, {nullptr, nullptr, 0, 0, 0}),
      gpu({simulated.device(),
           simulated.ops(),
           options.placement,
           model.blocks,
           vram,
           tiers,
           pages_of(pinned_),
           pages_of(activations_),
           pages_of(vram_staging_),
           runner_.binder(),
           {model.tensors, model.spec, model.graph, layout_, layout_, rope_, rope_, nullptr},
           sequences}),
      executor(tiers, runner_, ring_loads_, experts_, 64, options.overlap, nullptr, &gpu.lane()) {
  gpu.load([](std::int64_t) {});
  std::vector<TierManager::Placed> placed;
  for (const PlacedRun& run : options.placement.pinned)
    placed.push_back({run.run, pinned_.data() + run.arena_offset_bytes});
  tiers.load_all(placed, [](std::int64_t) {});
}

std::vector<float> GpuRig::play(const Plan& plan, const std::vector<std::vector<std::int32_t>>& ids,
                                const Plan* next) {
  std::vector<Span> spans;
  for (std::size_t s = 0; s < ids.size(); ++s) {
    KvPages& kv = sequences[s];
    kv.reserve(std::ssize(ids[s]));
    spans.push_back({&kv, ids[s], kv.committed_tokens(), 1});
  }
  StepInput step{spans, {}};
  std::vector<float> logits(static_cast<std::size_t>(step.logits_rows() * n_vocab_), -1e30F);
  step.sink = [&](const StepLogits& tile) {
    for (std::int64_t row = 0; row < tile.rows; ++row) {
      std::copy_n(tile.data + row * tile.stride, tile.columns,
                  logits.data() + row * n_vocab_ + tile.first_column);
    }
  };
  executor.play(plan, step, next);
  for (const Span& span : spans) span.kv->commit(std::ssize(span.ids));
  return logits;
}

}  // namespace windlass::test
