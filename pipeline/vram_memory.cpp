#include "pipeline/vram_memory.h"

#include <algorithm>
#include <utility>

#include "src/base/units.h"

namespace windlass {

// Carved ranges begin at multiples of the arena's alignment.
std::int64_t VramMemory::size_bytes(const VramPlacement& placement) {
  std::int64_t bytes = 0;
  for (const std::int64_t part :
       {placement.pinned_bytes, placement.ring_slots * placement.slot_bytes,
        placement.activation_bytes, placement.table_bytes, placement.kv_bytes}) {
    bytes += align_up(part, DeviceArena::kAlignment);
  }
  return bytes;
}

VramMemory::VramMemory(DeviceArena arena, const VramPlacement& placement, const KvShape& kv,
                       std::int64_t context_tokens, std::int64_t limit_bytes)
    : kv_home_(placement.kv_home),
      layer_bytes_(kv.layer_bytes(context_tokens)),
      budget_(Tier::kVram, limit_bytes),
      arena_(std::move(arena)),
      pinned_(carve(Tag::kWeights, placement.pinned_bytes)),
      ring_(carve(Tag::kRing, placement.ring_slots * placement.slot_bytes)),
      activations_(carve(Tag::kActivations, placement.activation_bytes)),
      tables_(carve(Tag::kTables, placement.table_bytes)),
      kv_(carve(Tag::kKv, placement.kv_bytes)) {}

ArenaRange VramMemory::carve(Tag tag, std::int64_t size_bytes) {
  reservations_.push_back(budget_.reserve(tag, size_bytes));
  return arena_.carve(size_bytes);
}

std::byte* VramMemory::kv_layer(std::int64_t sequence, std::int64_t layer) const {
  const std::vector<Tier>& homes = kv_home_;
  if (homes.empty() || homes[static_cast<std::size_t>(layer)] != Tier::kVram) return nullptr;
  const std::int64_t here = std::count(homes.begin(), homes.end(), Tier::kVram);
  const std::int64_t before = std::count(homes.begin(), homes.begin() + layer, Tier::kVram);
  return arena_.at(kv_) + (sequence * here + before) * layer_bytes_;
}

}  // namespace windlass
