#include "pipeline/gpu_part.h"

#include "src/base/error.h"

namespace windlass {
namespace {

VramTierParts tier_parts(const GpuPartParts& parts, Stream compute,
                         std::span<const std::byte> pinned_host) {
  VramTierParts result{parts.blocks, parts.host_tier, parts.device,
                       compute,      parts.staging,   parts.placement.vram.staging_slot_bytes};
  result.pinned_host = pinned_host;
  return result;
}

OpBinderParts binder_parts(const GpuPartParts& parts) {
  OpBinderParts result = parts.binder;
  result.activations = parts.memory.activations();
  return result;
}

}  // namespace

GpuPart::GpuPart(const GpuPartParts& parts)
    : parts_(parts),
      compute_(parts.device.make_stream()),
      pins_(pin(parts)),
      tier_(tier_parts(parts, compute_, pinned_host_)),
      tables_(parts.device, compute_, parts.memory.tables(), parts.sequences),
      lane_({parts.device, compute_, tier_, tables_, parts.ops, binder_parts(parts), parts.host,
             parts.memory.ring(), parts.placement.vram.ring_slots,
             parts.placement.vram.slot_bytes}) {}

// The pinned set is as large as host memory: where it cannot be pinned as a whole, what streams
// from it is copied to staging slots first.
std::vector<PinnedMemory> GpuPart::pin(const GpuPartParts& parts) {
  std::vector<PinnedMemory> pins;
  for (const std::span<std::byte> memory : {parts.host_activations, parts.staging})
    pins.push_back(get_or_fail(parts.device.pin(memory)));
  if (parts.host_pinned.empty()) return pins;
  auto pinned = parts.device.pin(parts.host_pinned);
  if (const auto* refused = std::get_if<NoMemory>(&pinned)) {
    notes_.push_back(fmt::format(
        "weights in host memory are copied once more on their way to the GPU, which takes DRAM "
        "bandwidth: {}",
        refused->message));
  } else {
    pins.push_back(std::get<PinnedMemory>(std::move(pinned)));
    pinned_host_ = parts.host_pinned;
  }
  return pins;
}

void GpuPart::load(const std::function<void(std::int64_t)>& progress) {
  if (loaded_) return;
  std::vector<TierManager::Placed> runs;
  for (const PlacedRun& placed : parts_.placement.vram.pinned)
    runs.push_back({placed.run, parts_.memory.pinned() + placed.arena_offset_bytes});
  tier_.load_all(runs, progress);
  loaded_ = true;
}

}  // namespace windlass
