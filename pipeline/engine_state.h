// What an open engine consists of, and how one step runs in it. For engine*.cpp alone.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/engine.h"
#include "pipeline/executor.h"
#include "pipeline/gpu_part.h"
#include "pipeline/host_memory.h"
#include "pipeline/phase_meter.h"
#include "pipeline/resident_set.h"
#include "pipeline/session_plan.h"
#include "pipeline/vram_ladder.h"
#include "pipeline/vram_memory.h"
#include "src/base/check.h"
#include "src/base/clock.h"
#include "src/base/error.h"
#include "tiers/tier_manager.h"

namespace windlass {

// Members in order of construction; each uses only those above it, and the memory outlives every
// read into it.
struct Engine::State {
  State(const Model& opened, const EngineOptions& chosen, const Profile& machine);

  bool tracing() const { return !options.trace_path.empty(); }
  TierManagerOptions tier_options();
  std::optional<GpuPart> open_gpu();
  OpBinderParts op_binder_parts();
  OpRunnerParts op_runner_parts();
  ExpertMemory expert_memory() const;
  std::vector<float> read_rope_factors(const RopeSpec& spec);
  void note_fallbacks();
  Counters counters() const {
    Counters all{now_s(),       tiers.disk_to_host(), executor.stats(),        experts.stats(),
                 team.busy_s(), team.n_regions(),     team.region_overhead_s()};
    if (gpu) {
      all.host_to_vram = gpu->lane().host_to_vram();
      all.vram_to_host = gpu->lane().vram_to_host();
    }
    return all;
  }
  void stop_if_interrupted() const {
    if (options.interrupted && options.interrupted()) fail(ErrorCode::kInterrupted, "interrupted");
  }

  void check_tensors(const Progress& progress);
  void load_pinned(const Progress& progress);
  void hold_decode_set(const Plan& chosen);
  // Error(kUsage), Error(kNoSpace) where the sequence cannot go on with these.
  void check_tokens(const SequenceTokens& part) const;
  Span next_span(const SequenceTokens& part, std::int64_t logits_rows);
  void run_step(std::span<const Span> step_spans, const Plan* next, const TogetherSink& sink,
                PhaseMeter& meter);
  const KvPages& sequence(std::int64_t index) const {
    WINDLASS_CHECK(index >= 0 && index < plan.n_sequences, index, plan.n_sequences);
    return memory.kv[static_cast<std::size_t>(index)];
  }
  KvPages& sequence(std::int64_t index) {
    return const_cast<KvPages&>(std::as_const(*this).sequence(index));
  }

  const Model& model;
  EngineOptions options;
  Profile profile;
  ReservedPlan reserved;
  const SessionPlan& plan;
  std::optional<VramMemory> vram;  // where the placement uses a GPU
  HostMemory memory;
  DiskStore store;
  std::string io_note;
  std::unique_ptr<IoEngine> io;
  Trace trace;
  TierManager tiers;
  ResidentSet pinned, decode_pinned;
  int wanted_threads;  // asked for before the team: it may bind this thread to a part of the CPUs
  Team team;
  RopeTable rope, window_rope;
  OpRunner runner;
  Ring ring;
  ExpertCache experts;
  std::optional<GpuPart> gpu;
  Executor executor;

  double load_s = 0;
  std::int64_t load_bytes = 0;
  std::vector<std::string> notes;
  std::vector<float> last_logits;
  std::vector<Span> together;  // of feed_together's step; capacity n_sequences
  PhaseMeter prefill, decode;
};

}  // namespace windlass
