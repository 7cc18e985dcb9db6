#include "pipeline/placement_vram.h"

#include <algorithm>
#include <array>

#include "pipeline/expert_runs.h"
#include "pipeline/pinned_set.h"
#include "pipeline/plan_writer.h"
#include "src/base/units.h"

namespace windlass {
namespace {

// A launch costs some 5 us, in which a copy at 25 GB/s brings 128 KiB; and many slots reach further
// ahead than few large ones, as runs of split products are short.
constexpr std::int64_t kMostSlotBytes = 4 * kMiB;
constexpr std::int64_t kMostSlots = 512;
constexpr std::int64_t kMostStagingSlots = 16;

std::size_t at(std::int32_t index) { return static_cast<std::size_t>(index); }

// Numbers 0..3, number k counts[k] times, each spread evenly: whichever is owed most comes next.
std::vector<int> spread_evenly(const std::array<std::int64_t, 4>& counts) {
  std::int64_t all = 0;
  for (const std::int64_t count : counts) all += count;
  std::array<std::int64_t, 4> done{};
  std::vector<int> order;
  for (std::int64_t i = 1; i <= all; ++i) {
    const auto owed = [&](std::size_t k) { return counts[k] * i - done[k] * all; };
    std::size_t next = 0;
    for (std::size_t k = 1; k < counts.size(); ++k) {
      if (owed(k) > owed(next)) next = k;
    }
    ++done[next];
    order.push_back(static_cast<int>(next));
  }
  return order;
}

}  // namespace

TierPlacer::TierPlacer(const CostModelParts& parts, const BlockTable& blocks,
                       const TierNeeds& needs, const OnGpu& on_gpu)
    : parts_(parts),
      blocks_(blocks),
      needs_(needs),
      units_(model_units(parts.graph, on_gpu)),
      model_(parts, blocks, units_, needs.decode, needs.prefill) {
  PinnedSet small(blocks);
  for (const BlockId id : touched_blocks(parts.graph, blocks)) {
    largest_block_bytes_ =
        std::max(largest_block_bytes_, make_run(blocks, {id, 1}).aligned.size_bytes);
    if (is_small(blocks, id)) small.add(id);
  }
  small_bytes_ = small.bytes();
}

double TierPlacer::size_of(BlockId id) const {
  return static_cast<double>(blocks_.at(id).extent.size_bytes);
}

double TierPlacer::bytes_of(const std::vector<BlockId>& ids) const {
  double bytes = 0;
  for (const BlockId id : ids) bytes += size_of(id);
  return bytes;
}

std::int64_t TierPlacer::kv_bytes(std::int64_t n_layers) const {
  KvShape shape = needs_.kv;
  shape.n_layers = n_layers;
  return n_layers > 0 ? needs_.n_sequences * shape.size_bytes(needs_.context_tokens) : 0;
}

TierPlacer::RingSize TierPlacer::ring_of(double share) const {
  const std::int64_t slot = std::max(
      largest_block_bytes_,
      std::min(align_down(needs_.vram_limit_bytes / 512, kDirectAlignment), kMostSlotBytes));
  const auto slots = static_cast<std::int64_t>(
      share * static_cast<double>(needs_.vram_limit_bytes) / static_cast<double>(slot));
  return {std::clamp(slots, kMinRingSlots, kMostSlots), slot};
}

TierPlacer::RingSize TierPlacer::staging() const {
  const std::int64_t slots =
      needs_.host.limit_bytes / 256 / std::max<std::int64_t>(largest_block_bytes_, 1);
  return {std::clamp(slots, kMinRingSlots, kMostStagingSlots), largest_block_bytes_};
}

std::int64_t TierPlacer::least_vram_bytes() const {
  return needs_.vram_activation_bytes + needs_.vram_table_bytes + small_bytes_ +
         kMinRingSlots * largest_block_bytes_;
}

TierRoom TierPlacer::room(double ring_share) const {
  TierRoom room;
  const std::int64_t vram = needs_.vram_limit_bytes - needs_.vram_activation_bytes -
                            needs_.vram_table_bytes - small_bytes_ - ring_of(ring_share).bytes();
  const std::int64_t host = needs_.host.limit_bytes - needs_.host.fixed_bytes() +
                            needs_.host.kv_bytes - staging().bytes() - small_bytes_;
  room.vram_bytes = static_cast<double>(vram);
  room.host_bytes = static_cast<double>(host);
  room.kv_bytes = static_cast<double>(kv_bytes(1));
  room.ring_bytes = static_cast<double>(ring_of(ring_share).bytes());
  return room;
}

Bound TierPlacer::bound(const StepLoad& load) const {
  // Neither ring nor staging has to be there.
  TierRoom whole = room(0);
  whole.vram_bytes += static_cast<double>(ring_of(0).bytes());
  whole.host_bytes += static_cast<double>(staging().bytes());
  whole.ring_bytes = 0;
  const TierProgram::Limit limit =
      TierModel(parts_, blocks_, units_, load, needs_.prefill).program(whole).relaxed();
  return {limit.step_s, limit.by};
}

// Which units of each class are which: spread evenly, KV in VRAM first where the GPU computes.
std::vector<TierPlacer::UnitPlace> TierPlacer::unit_places(
    const std::vector<TierCounts>& counts) const {
  std::vector<UnitPlace> places(units_.size());
  for (std::size_t c = 0; c < counts.size(); ++c) {
    const UnitClass& own = model_.classes()[c];
    const TierCounts& count = counts[c];
    const std::vector<int> homes =
        spread_evenly({count.resident, count.streamed, count.in_place, count.split});
    for (std::size_t i = 0; i < homes.size(); ++i) {
      UnitPlace& place = places[at(own.units[i])];
      place.home = static_cast<Home>(homes[i]);
      const double split = std::max(1.0, static_cast<double>(count.split));
      place.split_vram_bytes = count.split_vram_bytes / split;
      place.split_stream_bytes = count.split_stream_bytes / split;
    }
    std::int64_t on_cpu = count.prefill_on_cpu;
    for (const std::int32_t unit : own.units) {
      if (places[at(unit)].home == Home::kInPlace) places[at(unit)].prefill_on_cpu = on_cpu-- > 0;
    }
    std::int64_t kv = count.kv_in_vram;
    for (const bool in_place : {false, true}) {
      for (const std::int32_t unit : own.units) {
        if ((places[at(unit)].home == Home::kInPlace) != in_place) continue;
        places[at(unit)].kv_in_vram = kv-- > 0;
      }
    }
  }
  return places;
}

// Of a split unit's weights: what cannot be split is in VRAM. Of each group of products, small ones
// first, the first rows are in VRAM, the next ones stream there, and the CPU's are what is left: so
// that they are one stretch, mostly.
void TierPlacer::divide(const ModelUnit& unit, const UnitPlace& place, SplitBlocks& blocks) const {
  std::vector<std::vector<BlockId>> groups;
  std::vector<TensorId> shared;
  double all_bytes = 0;
  for (std::vector<std::int32_t>& group : product_groups(parts_.graph, parts_.tensors, unit)) {
    std::vector<TensorId> weights;
    for (const std::int32_t op : group) weights.push_back(parts_.graph.ops[at(op)].weight);
    std::stable_sort(weights.begin(), weights.end(), [&](TensorId a, TensorId b) {
      return blocks_.of_tensor(a).count < blocks_.of_tensor(b).count;
    });
    shared.insert(shared.end(), weights.begin(), weights.end());
    std::vector<BlockId>& list = groups.emplace_back();
    for (const TensorId weight : weights) {
      const BlockRange range = blocks_.of_tensor(weight);
      for (std::int32_t i = 0; i < range.count; ++i)
        list.push_back(BlockId{index_of(range.first) + i});
    }
    all_bytes += bytes_of(list);
  }
  double vram = place.split_vram_bytes, stream = place.split_stream_bytes;
  for (const BlockId id : unit_blocks(parts_.graph, blocks_, unit)) {
    if (std::find(shared.begin(), shared.end(), blocks_.at(id).tensor) != shared.end()) continue;
    blocks.vram.push_back(id);
    vram -= size_of(id);
  }
  for (const std::vector<BlockId>& group : groups) {
    const double own = bytes_of(group);
    // What an earlier group left or took too much is made up for.
    double vram_share = vram * own / all_bytes, stream_share = stream * own / all_bytes;
    all_bytes -= own;
    for (const BlockId id : group) {
      const double size = size_of(id);
      if (vram_share >= size / 2) {
        blocks.vram.push_back(id);
        vram_share -= size;
        vram -= size;
      } else if (stream_share >= size / 2) {
        blocks.streamed.push_back(id);
        stream_share -= size;
        stream -= size;
      }
    }
  }
}

PinnedSet TierPlacer::vram_blocks(const std::vector<UnitPlace>& places, const SplitBlocks& split,
                                  std::int64_t room_bytes) const {
  PinnedSet set(blocks_);
  for (const BlockId id : touched_blocks(parts_.graph, blocks_)) {
    if (is_small(blocks_, id)) set.add(id);
  }
  std::vector<BlockId> resident = split.vram, streamed, in_place;
  for (std::size_t i = 0; i < units_.size(); ++i) {
    const Home home = places[i].home;
    if (units_[i].on_cpu || places[i].prefill_on_cpu || home == Home::kSplit) continue;
    std::vector<BlockId>& list = home == Home::kVram     ? resident
                                 : home == Home::kStream ? streamed
                                                         : in_place;
    for (const BlockId id : unit_blocks(parts_.graph, blocks_, units_[i])) {
      if (!set.holds(id)) list.push_back(id);
    }
  }
  fill(set, resident, room_bytes);
  // What is left over saves streamed bytes: in decode steps, then in prefill.
  fill_evenly(set, streamed, room_bytes, 1);
  fill(set, split.streamed, room_bytes);
  fill_evenly(set, in_place, room_bytes, 1);
  return set;
}

std::vector<Site> TierPlacer::sites(const std::vector<UnitPlace>& places, bool decode) const {
  std::vector<Site> sites(parts_.graph.ops.size(), Site::kCpu);
  for (std::size_t i = 0; i < units_.size(); ++i) {
    const UnitPlace& place = places[i];
    const bool in_place = decode ? place.home == Home::kInPlace : place.prefill_on_cpu;
    for (std::int32_t op = units_[i].first_op; op < units_[i].end_op; ++op) {
      const GraphOp& graph_op = parts_.graph.ops[at(op)];
      if (graph_op.kind == OpKind::kAttention || graph_op.kind == OpKind::kKvAppend) {
        sites[at(op)] = place.kv_in_vram ? Site::kGpu : Site::kCpu;
      } else if (!units_[i].on_cpu && !in_place && !cpu_only(graph_op)) {
        const bool split =
            decode && place.home == Home::kSplit && can_split(graph_op, parts_.tensors);
        sites[at(op)] = split ? Site::kSplit : Site::kGpu;
      }
    }
  }
  return sites;
}

// Memory holds what the CPU computes with, and of the rest what streams to VRAM.
std::optional<Placement> TierPlacer::with_host(const VramPlacement& vram,
                                               const std::vector<UnitPlace>& places) const {
  std::vector<bool> in_vram(blocks_.blocks().size(), false);
  for (const PlacedRun& placed : vram.pinned) {
    for (std::int32_t i = 0; i < placed.run.blocks.count; ++i) {
      const BlockId id{index_of(placed.run.blocks.first) + i};
      in_vram[at(index_of(id))] = !is_small(blocks_, id);
    }
  }
  for (std::size_t i = 0; i < units_.size(); ++i) {
    if (!units_[i].on_cpu && places[i].home != Home::kInPlace && !places[i].prefill_on_cpu)
      continue;
    for (const BlockId id : unit_blocks(parts_.graph, blocks_, units_[i]))
      in_vram[at(index_of(id))] = false;
  }
  HostNeeds host = needs_.host;
  const auto in_host = std::count(vram.kv_home.begin(), vram.kv_home.end(), Tier::kHost);
  host.kv_bytes = kv_bytes(in_host);
  host.vram_staging_slots = vram.staging_slots;
  host.vram_staging_slot_bytes = vram.staging_slot_bytes;
  host.in_vram = &in_vram;
  const bool experts = std::any_of(parts_.graph.ops.begin(), parts_.graph.ops.end(), has_experts);
  std::vector<SlotCounts> tried = {0, 12, 4, kMinRingSlots};
  if (experts) {
    tried = {0, {0, kMinExpertSlots}, {12, 16}, {4, 4}, {kMinRingSlots, kMinExpertSlots}};
  }
  for (const SlotCounts& slots : tried) {
    auto placed = windlass::place(parts_.graph, blocks_, host, slots);
    if (std::holds_alternative<Infeasible>(placed)) continue;
    auto& placement = std::get<Placement>(placed);
    placement.vram = vram;
    return placement;
  }
  return std::nullopt;
}

std::optional<Placement> TierPlacer::place(const Choice& choice) const {
  const TierRoom room = this->room(choice.ring_share);
  if (room.vram_bytes < 0 || room.host_bytes < 0) return std::nullopt;
  const auto counts = model_.program(room, choice.rules).best(needs_.prefill_weight);
  if (!counts) return std::nullopt;
  const std::vector<UnitPlace> places = unit_places(*counts);

  VramPlacement vram;
  vram.activation_bytes = needs_.vram_activation_bytes;
  vram.table_bytes = needs_.vram_table_bytes;
  vram.tile_columns = needs_.vram_tile_columns;
  vram.kv_home.assign(static_cast<std::size_t>(needs_.kv.n_layers), Tier::kHost);
  std::int64_t kv_layers = 0;
  for (std::size_t i = 0; i < units_.size(); ++i) {
    if (units_[i].attention_op < 0 || !places[i].kv_in_vram) continue;
    vram.kv_home[at(units_[i].layer)] = Tier::kVram;
    ++kv_layers;
  }
  vram.kv_bytes = kv_bytes(kv_layers);
  const RingSize ring = ring_of(choice.ring_share), staging = this->staging();
  vram.ring_slots = ring.slots;
  vram.slot_bytes = ring.slot_bytes;
  vram.staging_slots = staging.slots;
  vram.staging_slot_bytes = staging.slot_bytes;
  const std::int64_t others = vram.total_bytes();
  SplitBlocks split;
  for (std::size_t i = 0; i < units_.size(); ++i) {
    if (places[i].home == Home::kSplit) divide(units_[i], places[i], split);
  }
  vram.decode_streamed = split.streamed;
  const PinnedSet pinned = vram_blocks(places, split, needs_.vram_limit_bytes - others);
  vram.pinned = pinned.runs(0);
  vram.pinned_bytes = pinned.bytes();
  vram.decode_sites = sites(places, true);
  vram.prefill_sites = sites(places, false);
  auto placement = with_host(vram, places);
  if (!placement) return std::nullopt;
  // No ring where nothing streams through it.
  const Plan decode = make_plan(parts_.graph, blocks_, *placement, true, true);
  const Plan prefill = make_plan(parts_.graph, blocks_, *placement, true, false);
  if (decode.loads.empty() && prefill.loads.empty()) placement->ring_slots = 0;
  if (decode.vram_loads.empty() && prefill.vram_loads.empty()) placement->vram.ring_slots = 0;
  return placement;
}

}  // namespace windlass
