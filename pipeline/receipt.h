// What a run did against what its plan claimed: predicted, achieved, bound, bytes per link, busy
// time per resource.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tiers/budget.h"

namespace windlass {

struct LinkUse {
  std::int64_t bytes = 0;
  double busy_s = 0;
};

// One phase (prefill or decode) of a run. Steps before the first of the phase are not in it.
struct PhaseReceipt {
  std::int64_t tokens = 0, steps = 0;
  double wall_s = 0;
  double predicted_s_per_step = 0, bound_s_per_step = 0;
  std::string bottleneck;  // "disk_to_host", "cpu"
  LinkUse disk_to_host, host_to_vram, vram_to_host;
  double cpu_busy_s = 0;      // time in ops, not waiting for blocks
  double threads_busy_s = 0;  // of all threads together, in ops: the rest they waited
  // Matrices of experts that the steps used: found in the expert cache, or read. Both 0 where there
  // is no such cache.
  std::int64_t expert_hits = 0, expert_misses = 0;
  double expert_hit_rate() const;  // 0 without a cache
  bool uses_vram() const { return host_to_vram.bytes + vram_to_host.bytes > 0; }
  double expected_expert_hit_rate = 0;  // of the prediction: rows being routed evenly
  double achieved_s_per_step() const { return steps > 0 ? wall_s / static_cast<double>(steps) : 0; }
  double of_bound() const;  // bound / achieved, at most 1; 0 without steps
};

struct TierReceipt {
  Tier tier = Tier::kHost;
  std::int64_t budget_bytes = 0, peak_bytes = 0;
};

struct Receipt {
  std::string model;
  std::int64_t prompt_tokens = 0, generated_tokens = 0;
  double load_s = 0, ttft_s = 0;
  std::int64_t load_bytes = 0;
  std::vector<TierReceipt> tiers;
  PhaseReceipt prefill, decode;
  std::string isa, io_engine;
  std::string gpu;  // its name; empty: none is used
  int threads = 0;
  bool direct_io = true;
  std::vector<std::string>
      notes;  // printed reasons: buffered fallback, profile of another disk, ...
};

nlohmann::json to_json(const Receipt& receipt);
// The few lines that a person reads on stderr.
std::string format_receipt(const Receipt& receipt);

}  // namespace windlass
