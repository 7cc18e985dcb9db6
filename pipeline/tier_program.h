// The planner's integer program: how many units of each class go where.
//
// After FlexGen (arXiv 2303.06865, section 4.3), whose policy is a linear program over percentages
// of each tensor by tier. Ours counts whole units, as a layer's half is computed in one place, and
// lets the CPU compute too: a unit is in VRAM, or streams there, or is computed where it is in
// memory, or has its rows split: those in VRAM and those that stream there by the GPU, the others
// by the CPU, side by side. What does not fit in memory comes from disk. A step takes as long as
// the chain of its units and as each resource's work: links, DRAM.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "pipeline/linear_program.h"
#include "pipeline/profile.h"

namespace windlass {

// Bytes for weights and KV, everything else being taken off.
struct TierRoom {
  double vram_bytes = 0, host_bytes = 0;
  double kv_bytes = 0;  // of a layer, all sequences'
  // Of VRAM: a streamed unit arrives no further ahead. 0: no limit.
  double ring_bytes = 0;
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
  double split_s = 0;        // what any split takes: its inputs' way to the CPU, latencies
  double results_s = 0;      // to gather the results if the CPU computes all that can be split
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
  // Of all split ones together: weights in VRAM, and those that stream there in decode steps.
  double split_vram_bytes = 0, split_stream_bytes = 0;
  std::int64_t kv_in_vram = 0;      // layers
  std::int64_t prefill_on_cpu = 0;  // units, of those in place
};

struct TierTimes {
  double decode_s = 0, prefill_s = 0;
};

// The program and where to find its answers in it.
class TierProgram {
 public:
  // REQUIRES a profile with a GPU.
  TierProgram(const std::vector<UnitClass>& classes, const TierRoom& room, const TierRules& rules,
              const Profile& profile);

  // Minimise decode_s + prefill_weight * prefill_s. None where nothing fits.
  std::optional<std::vector<TierCounts>> best(double prefill_weight);
  // Decode's least time where units need not be whole: no schedule takes less; 0 where nothing
  // fits. And what limits it: "cpu", "gpu", "disk_to_host", "host_to_vram" or "dram".
  struct Limit {
    double step_s = 0;
    const char* by = "";
  };
  Limit relaxed();
  // What the program thinks of an answer. REQUIRES that it fits.
  TierTimes times(const std::vector<TierCounts>& counts);

 private:
  using Term = LinearProgram::Term;
  struct Variables {
    int resident, streamed, in_place, split;
    int split_vram, split_stream, split_time;
    int kv, kv_apart;  // layers with KV in VRAM; those computed elsewhere than their KV is
    int prefill_on_cpu, prefill_kv_apart;
  };
  // A time is at least this.
  struct Sum {
    std::vector<Term> terms;
    double constant = 0;
    void add(int variable, double factor) { terms.push_back({variable, factor}); }
  };
  // Of one kind of step.
  struct StepSums {
    Sum cpu, gpu;  // both together: the chain
    Sum h2d, disk, dram;
  };

  Variables add_variables(const UnitClass& own, const TierRules& rules);
  void add_counts(const UnitClass& own, const Variables& v);
  void add_split(const UnitClass& own, const Variables& v);
  void add_kv_apart(const UnitClass& own, const Variables& v);
  void add_bytes(const UnitClass& own, const Variables& v);
  void add_decode(const UnitClass& own, const Variables& v);
  void add_prefill(const UnitClass& own, const Variables& v);
  void add_disk(StepSums& step);
  void bound_time(int time, const StepSums& step);
  double value(const Sum& sum, const std::vector<double>& x) const;

  const std::vector<UnitClass>& classes_;
  const Profile& profile_;
  double kv_ = 0;       // of a layer
  double dram_ms_ = 0;  // for a unit of bytes
  double h2d_ms_ = 0;
  double ring_ = 0;
  double apart_ms_ = 0;  // a layer's queries and results on their way
  LinearProgram program_;
  std::vector<Variables> variables_;
  int decode_ms_, prefill_ms_, disk_bytes_;
  Sum vram_, host_;  // bytes taken
  StepSums decode_, prefill_;
};

}  // namespace windlass
