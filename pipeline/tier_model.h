// How long a step takes, as sums over a model's units: the planner's integer program, whose answer
// says how many units of each class go where, and whose relaxation is the bound.
//
// After FlexGen (arXiv 2303.06865, section 4.3), whose policy is a linear program over percentages
// of each tensor by tier. Ours counts whole units, as a layer's half is computed in one place, and
// lets the CPU compute too: a unit is in VRAM, or streams there, or is computed where it is in
// memory, or has its rows split, those in VRAM by the GPU, beside the CPU. What does not fit in
// memory comes from disk. The step takes as long as the chain of its units and as each resource's
// work: links, DRAM.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "pipeline/cost_model.h"
#include "pipeline/linear_program.h"
#include "pipeline/model_units.h"

namespace windlass {

// Bytes for weights and KV, everything else being taken off.
struct TierRoom {
  double vram_bytes = 0, host_bytes = 0;
  double kv_bytes = 0;  // of a layer, all sequences'
};

// What the planner holds fixed to see what it is worth.
struct TierRules {
  bool splits = true;   // false: every unit is computed in one place
  bool streams = true;  // false: no decode step streams to VRAM
  enum class Kv : std::uint8_t { kAny, kVram, kHost } kv = Kv::kAny;
};

// One unit in one kind of step.
struct UnitCosts {
  double gpu_s = 0, cpu_s = 0;                    // all but attention
  double gpu_products_s = 0, cpu_products_s = 0;  // of that, what can be split
  double attention_gpu_s = 0, attention_cpu_s = 0;
  double kv_read_bytes = 0;  // by attention
  double split_s = 0;        // what gathering the parts of split products takes
  bool operator==(const UnitCosts&) const = default;
};

// Units that cost alike.
struct UnitClass {
  std::vector<std::int32_t> units;  // indices, ascending
  double bytes = 0;                 // of large weights
  double split_bytes = 0;           // of that, in products that can be split
  bool attends = false, on_cpu = false;
  UnitCosts decode, prefill;
  double count() const { return static_cast<double>(units.size()); }
};

// Of a class: how many units in decode steps are where.
struct TierCounts {
  std::int64_t resident = 0, streamed = 0, in_place = 0, split = 0;
  double split_vram_bytes = 0;      // of all split ones together
  std::int64_t kv_in_vram = 0;      // layers
  std::int64_t prefill_on_cpu = 0;  // units, of those in place
};

struct TierTimes {
  double decode_s = 0, prefill_s = 0;
};

class TierModel {
 public:
  TierModel(const CostModelParts& parts, const BlockTable& blocks,
            const std::vector<ModelUnit>& units, const StepLoad& decode, const StepLoad& prefill);
  const std::vector<UnitClass>& classes() const { return classes_; }

  // By class: what makes decode_s + prefill_weight * prefill_s least; none where it does not fit.
  std::optional<std::vector<TierCounts>> solve(const TierRoom& room, const TierRules& rules,
                                               double prefill_weight) const;
  // The least decode_s where units need not be whole: no schedule takes less. And what limits it:
  // "cpu", "gpu", "disk_to_host", "host_to_vram", "dram" or "chain", of units on both.
  struct Limit {
    double step_s = 0;
    const char* by = "";
  };
  Limit bound(const TierRoom& room) const;
  // What the program thinks of an answer. REQUIRES that it fits.
  TierTimes times(const std::vector<TierCounts>& counts, const TierRoom& room) const;

 private:
  struct Variables;
  struct Program;
  UnitClass class_of(const ModelUnit& unit, const StepLoad& decode, const StepLoad& prefill) const;
  UnitCosts costs_of(const ModelUnit& unit, const StepLoad& load) const;
  double split_s(const ModelUnit& unit, const StepLoad& load) const;
  Program make_program(const TierRoom& room, const TierRules& rules) const;

  CostModelParts parts_;
  CostModel costs_;
  const BlockTable& blocks_;
  std::vector<UnitClass> classes_;
};

// An entry that does all of an op.
ComputeEntry whole_entry(const LayerGraph& graph, const TensorTable& tensors, std::int32_t op);

}  // namespace windlass
