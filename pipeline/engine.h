// One model, open and placed under its budgets: tokens in, logits out. It owns the budget, the
// arena, the tiers, the plans and the executor; who samples and why tokens come is generator.h's
// and the tools' business.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "cpu_kernels/op_table.h"
#include "kernels/op_table.h"
#include "pipeline/machine_rates.h"
#include "pipeline/profile.h"
#include "pipeline/receipt.h"
#include "pipeline/step.h"
#include "src/model/layer_graph.h"
#include "src/model/model.h"
#include "src/ops/op_table.h"
#include "tiers/io_engine.h"

namespace windlass {

class Device;
struct Counters;
struct OpWork;
struct StepForecast;
struct StepLoad;

struct EngineOptions {
  std::optional<std::int64_t> ram_bytes;  // nothing: auto (what the machine and cgroup can give)
  std::int64_t vram_bytes = 0;            // of the GPU; 0: the CPU alone
  // With vram_bytes > 0: the GPU, and its kernels, which outlive the engine.
  std::shared_ptr<Device> device = nullptr;
  const DeviceOpTable* device_ops = nullptr;
  std::int64_t context_tokens = 0;  // most tokens that a sequence may have; > 0
  std::int64_t max_rows =
      0;  // most tokens that one feed() call brings (a bound for micro-batches); 0: context
  std::int64_t micro_batch_tokens = 0;  // -ub; 0: by the model's shapes
  std::int64_t n_sequences = 1;         // that can be computed together, each with its context
  std::int64_t logits_rows = 1;         // most tokens of one feed() whose logits are wanted
  KvTypes kv_types;
  Activations activations = Activations::kInt8;  // or kExact: kInt8Bf16 follows from kInt8 and isa
  Isa isa = Isa::kScalar;
  int threads = 0;             // 0: usable_cores()
  bool check_tensors = false;  // load() looks at all weights first (weight_check.h)
  bool overlap = true;  // false: each load is issued when it is needed (a check on the schedule)
  std::int64_t ring_slots = 0;  // of the ring; 0: none, or as many as the simulator finds best
  // Makes the engine that reads the model; null: make_io_engine.
  std::function<std::unique_ptr<IoEngine>(int capacity, std::string* why)> make_io = nullptr;
  std::int64_t table_bytes = 0;  // heap held by others for this run: tokenizer, sampler
  std::string trace_path;        // timeline for Perfetto; empty: none
  // Asked between a step's entries and between reads of the pinned set; true (Ctrl-C) ends the call
  // with Error(kInterrupted).
  std::function<bool()> interrupted = nullptr;
};

// Columns of logits as they are computed. rows are consecutive positions from first_position on.
struct LogitsTile {
  std::int64_t first_position = 0, rows = 0;
  std::int64_t first_column = 0, columns = 0;  // vocabulary ids
  const float* data = nullptr;                 // [rows, stride]
  std::int64_t stride = 0;
};
using LogitsSink = std::function<void(const LogitsTile&)>;

// The next tokens of one of the engine's sequences.
struct SequenceTokens {
  std::int64_t sequence = 0;  // [0, n_sequences)
  std::span<const std::int32_t> tokens;
};

// Columns of the logits of each part's last token, a row for each part in their order.
using TogetherSink = std::function<void(const StepLogits&)>;

// progress(done, total, "check"|"load"|"prefill"): bytes or tokens. May throw (Ctrl-C).
using Progress = std::function<void(std::int64_t, std::int64_t, const char*)>;

// Owner-thread.
class Engine {
 public:
  // Plans, reserves and opens; loads nothing yet. Error(kNoSpace) with the least --ram that would
  // do when it cannot fit.
  Engine(const Model& model, const EngineOptions& options, const Profile& profile);
  ~Engine();

  // Loads the pinned set. Called by the first feed() if not before. Error(kIo) when a read fails;
  // it can then be called again. With check_tensors, Error(kBadFile) as check_weights.
  void load(const Progress& progress);
  // Runs tokens at a sequence's end, in micro-batches. The logits of the last logits_rows of them
  // go to sink in tiles (all columns of a row come, in any order of tiles, before the next
  // micro-batch's). REQUIRES 1 <= logits_rows <= options.logits_rows. Error(kNoSpace) when the
  // context is full, Error(kUsage) for an id outside the vocabulary; Error(kIo) and
  // Error(kInterrupted) keep the micro-batches that were finished (n_tokens() tells), and the next
  // call goes on from there.
  void feed(std::span<const std::int32_t> tokens, std::int64_t logits_rows, const LogitsSink& sink,
            const Progress& progress, std::int64_t sequence = 0);
  // One step over several sequences: the next tokens of each, and the logits of each one's last. A
  // sequence gets what it would get alone, as closely as micro-batches of other sizes agree.
  // REQUIRES: each sequence at most once, and no more tokens than max_step_tokens(). Errors as
  // feed(); the step counts for all of them or for none.
  void feed_together(std::span<const SequenceTokens> parts, const TogetherSink& sink);
  // As feed for a prompt, or one token of decode: the logits of the last token, valid until the
  // next call.
  std::span<const float> feed_for_last(std::span<const std::int32_t> tokens,
                                       const Progress& progress);
  // Forgets the sequence from token n on.
  void roll_back(std::int64_t n_tokens, std::int64_t sequence = 0);
  std::int64_t n_tokens(std::int64_t sequence = 0) const;  // committed tokens of the sequence
  std::int64_t context_tokens() const;                     // of each sequence
  std::int64_t n_sequences() const;
  int n_threads() const;
  std::int64_t micro_batch_tokens() const;  // -ub, or its default
  std::int64_t max_step_tokens() const;     // of that, no more than max_rows
  // Columns of each tile that a sink gets; the last of a row may have fewer.
  std::int64_t logits_tile_columns() const;
  // Slots of the ring that weights stream through; 0: all of them stay in memory.
  std::int64_t ring_slots() const;

  // What the run has used so far; before and after a stretch of it, what that took.
  Counters counters() const;
  // What a step of this shape moves and computes, and how long it should take.
  OpWork work(const StepLoad& load) const;
  StepForecast forecast(const StepLoad& load) const;
  // What the machine gives at this moment, with this engine's threads and instructions: measured
  // in some 50 ms. REQUIRES: loaded.
  MachineRates machine_rates();

  // Filled but for model-level counts that only the caller knows (ttft_s, prompt and generated
  // tokens).
  Receipt receipt() const;
  // Writes the trace file if one was asked for.
  void write_trace() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// `--ram auto`: the least of available memory and cgroup limits, less 48 MiB for code and libraries
// and 1/16 for others.
std::int64_t auto_ram_bytes();

}  // namespace windlass
