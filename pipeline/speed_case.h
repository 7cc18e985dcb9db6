// What `windlass bench` measures: how long an engine takes for a prompt, for decode, or for both,
// beside what the machine gives at that moment and what the plan predicted.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/cost_model.h"
#include "pipeline/engine.h"

namespace windlass {

// As in llama-bench: of each of n_seq sequences, n_prompt tokens at once and then n_gen one by one,
// after n_depth tokens that are not timed.
struct SpeedCase {
  std::int64_t n_prompt = 0, n_gen = 0, n_depth = 0, n_seq = 1;
  std::int64_t context_tokens() const { return n_depth + n_prompt + n_gen; }
  std::int64_t tokens() const { return n_seq * (n_prompt + n_gen); }
  std::string name() const;  // "pp512", "tg128 x16 @ d4096", "pp512+tg128"
};

struct SpeedOptions {
  std::int64_t batch_tokens = 2048;  // of a prompt, given to the engine at once
  std::int64_t repetitions = 5;
  bool warm_up = true;  // one untimed prompt, one untimed token
};

// One repetition.
struct SpeedSample {
  double seconds = 0;
  double kernel_s = 0;           // inside ops, mean of the threads: the rest they waited
  double region_overhead_s = 0;  // of that waiting, what regions cost
  double disk_wait_s = 0;        // for blocks to arrive
  std::int64_t disk_bytes = 0, regions = 0;
  LinkUse host_to_vram;
  MachineRates machine;  // mean of before and after
};

struct SpeedResult {
  SpeedCase test;
  std::vector<SpeedSample> samples;
  std::int64_t steps = 0;  // of a repetition
  OpWork work;             // of a repetition
  double predicted_s = 0;  // of a repetition
  double bound_s = 0;      // the least that any schedule could take
};

// Random tokens of a fixed seed: of routed experts, which are read depends on them; else nothing
// does. REQUIRES: an engine of n_seq sequences with room for the case; batch_tokens at least n_seq.
// Errors as Engine::feed. The sequences end up n_depth tokens long, and are used where they are.
SpeedResult measure_speed(Engine& engine, const Model& model, const SpeedCase& test,
                          const SpeedOptions& options, const Progress& progress);

}  // namespace windlass
