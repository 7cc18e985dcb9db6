#include "pipeline/engine.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "pipeline/executor.h"
#include "pipeline/host_memory.h"
#include "pipeline/memory_nodes.h"
#include "pipeline/phase_meter.h"
#include "pipeline/resident_set.h"
#include "pipeline/session_plan.h"
#include "pipeline/weight_check.h"
#include "src/base/check.h"
#include "src/base/clock.h"
#include "src/base/error.h"
#include "src/base/units.h"
#include "tiers/tier_manager.h"

namespace windlass {
namespace {

// Reads in flight: the ring's 12 to 32 reads of 1 MiB, and single rows beside them.
constexpr int kReadsInFlight = 32;
constexpr std::int64_t kTraceEvents = 1 << 20;  // 24 MiB, only with --trace

std::int32_t most_blocks(const Plan& plan) {
  std::int32_t most = 0;
  for (const ComputeEntry& entry : plan.compute) most = std::max(most, entry.blocks.count);
  return most;
}

}  // namespace

// Members in order of construction; each uses only those above it, and the memory outlives every
// read into it.
struct Engine::State {
  State(const Model& opened, const EngineOptions& chosen, const Profile& machine);

  bool tracing() const { return !options.trace_path.empty(); }
  TierManagerOptions tier_options();
  OpRunnerParts op_runner_parts();
  ExpertMemory expert_memory() const;
  std::vector<float> read_rope_factors(const RopeSpec& spec);
  void note_fallbacks();
  Counters counters() const {
    return {now_s(),         tiers.disk_to_host(), executor.stats(),
            experts.stats(), team.busy_s(),        team.n_regions(), team.region_overhead_s()};
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
  SessionPlan plan;
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
  Executor executor;

  double load_s = 0;
  std::int64_t load_bytes = 0;
  std::vector<std::string> notes;
  std::vector<float> last_logits;
  std::vector<Span> together;  // of feed_together's step; capacity n_sequences
  PhaseMeter prefill, decode;
};

Engine::State::State(const Model& opened, const EngineOptions& chosen, const Profile& machine)
    : model(opened),
      options(chosen),
      profile(machine),
      plan(make_session_plan(model, options, profile,
                             options.ram_bytes ? *options.ram_bytes : auto_ram_bytes())),
      memory(plan, plan.needs.limit_bytes),
      store(model.tensors.files),
      io((options.make_io ? options.make_io : make_io_engine)(kReadsInFlight, &io_note)),
      trace(tracing() ? kTraceEvents : 0),
      tiers(model.tensors, plan.blocks, store, *io, tier_options()),
      pinned(tiers, plan.blocks, plan.placement().pinned, memory.pinned()),
      decode_pinned(tiers, plan.blocks, plan.placement().decode_pinned, memory.activations()),
      wanted_threads(options.threads > 0 ? options.threads : usable_cores()),
      team(wanted_threads),
      rope(model.spec.rope, read_rope_factors(model.spec.rope)),
      window_rope(model.spec.window_rope.value_or(model.spec.rope),
                  read_rope_factors(model.spec.window_rope.value_or(model.spec.rope))),
      runner(op_runner_parts()),
      ring(tiers, memory.ring(), plan.placement().ring_slots, plan.placement().slot_bytes),
      experts(tiers, plan.experts, expert_memory()),
      executor(tiers, runner, ring, experts,
               std::max(most_blocks(plan.with_head), most_blocks(plan.decode)), options.overlap,
               tracing() ? &trace : nullptr),
      last_logits(static_cast<std::size_t>(model.spec.n_vocab)) {
  together.reserve(static_cast<std::size_t>(plan.n_sequences));
  place_on_nodes(team, plan, model.tensors, memory);
  note_fallbacks();
}

TierManagerOptions Engine::State::tier_options() {
  TierManagerOptions chosen;
  if (tracing()) {
    chosen.observer = [this](int place, double begin_s, double end_s) {
      trace.add(disk_row(place), -1, begin_s, end_s);
    };
  }
  return chosen;
}

OpRunnerParts Engine::State::op_runner_parts() {
  return {model.tensors,
          model.spec,
          plan.graph,
          plan.layout,
          plan.decode_layout,
          rope,
          window_rope,
          tiers,
          cpu_op_table(options.isa),
          team,
          memory.activations(),
          memory.staging(),
          options.activations == Activations::kExact};
}

ExpertMemory Engine::State::expert_memory() const {
  const Placement& placement = plan.placement();
  return {memory.experts(), memory.activations() + placement.decode_expert_offset_bytes,
          placement.expert_slots, placement.decode_expert_slots, placement.expert_slot_bytes};
}

// [dims/2] floats, read once.
std::vector<float> Engine::State::read_rope_factors(const RopeSpec& spec) {
  const RopeFactors& factors = spec.factors_for(plan.context_tokens);
  const TensorId id = factors.tensor;
  if (id == kNoTensor) return factors.values;
  const std::int32_t row = 0;
  const std::byte* bytes = nullptr;
  tiers.fetch_rows(id, std::span(&row, 1), memory.staging(), std::span(&bytes, 1));
  const auto* values = reinterpret_cast<const float*>(bytes);
  return {values, values + model.tensors.at(id).n_cols()};
}

// Registers the memory of streamed reads, and writes down what this system does not give.
void Engine::State::note_fallbacks() {
  std::string why;
  if (!memory.streamed().empty() && !io->register_memory(memory.streamed(), &why))
    notes.push_back(why);
  if (!io_note.empty()) notes.push_back(io_note);
  for (const DiskFile& file : store.files()) {
    if (file.direct) continue;
    notes.push_back(fmt::format("{}: buffered reads: {}", file.path, file.buffered_reason));
  }
  if (team.n_threads() == wanted_threads) return;
  notes.push_back(fmt::format(
      "{} threads of the {} wanted: the system refuses more (ulimit -u, ulimit -v, the cgroup's "
      "pids.max)",
      team.n_threads(), wanted_threads));
}

// Decode steps have decode_pinned, or experts, in the activations that they leave unused; before a
// larger step these go.
void Engine::State::hold_decode_set(const Plan& chosen) {
  const bool wanted = &chosen == &plan.decode;
  experts.hold_more(wanted);
  if (wanted == decode_pinned.held() || decode_pinned.empty()) return;
  // The ring may hold the same blocks, read ahead for a plan that now does not come.
  ring.keep_only(&chosen);
  if (wanted) {
    decode_pinned.hold([this](std::int64_t) { stop_if_interrupted(); });
  } else {
    decode_pinned.let_go();
  }
}

// Through the memory of what is loaded later: the larger of the two has room for any run.
void Engine::State::check_tensors(const Progress& progress) {
  const Counters before = counters();
  const auto pinned_size = static_cast<std::size_t>(plan.placement().pinned_bytes);
  const std::span<std::byte> pinned_memory(memory.pinned(), pinned_size);
  const std::span<std::byte> streamed = memory.streamed();
  std::int64_t total = 0;
  for (const Block& block : plan.blocks.blocks()) total += block.extent.size_bytes;
  const WeightCheckParts parts{
      model.tensors, plan.blocks,
      tiers,         cpu_op_table(options.isa),
      team,          pinned_memory.size() > streamed.size() ? pinned_memory : streamed};
  check_weights(parts, [&](std::int64_t done) {
    stop_if_interrupted();
    if (progress) progress(std::min(done, total), total, "check");
  });
  notes.push_back(fmt::format(
      "--check-tensors: all weights are finite; {} read for it in {:.1f} s, "
      "which are in no phase",
      format_size(tiers.disk_to_host().bytes - before.link.bytes), now_s() - before.at_s));
}

void Engine::State::load_pinned(const Progress& progress) {
  if (pinned.held()) return;
  if (std::exchange(options.check_tensors, false)) check_tensors(progress);
  const Counters before = counters();
  memory.populate();
  pinned.hold([&](std::int64_t done) {
    stop_if_interrupted();
    if (progress) progress(done, plan.placement().pinned_bytes, "load");
  });
  load_bytes = tiers.disk_to_host().bytes - before.link.bytes;
  load_s = now_s() - before.at_s;
}

void Engine::State::check_tokens(const SequenceTokens& part) const {
  if (part.tokens.empty()) fail(ErrorCode::kUsage, "no tokens to run: give at least one");
  for (const std::int32_t id : part.tokens) {
    if (id >= 0 && id < model.spec.n_vocab) continue;
    fail(ErrorCode::kUsage, "token id {} is outside the vocabulary of {} (0 to {})", id, model.path,
         model.spec.n_vocab - 1);
  }
  const KvPages& kv = sequence(part.sequence);
  const auto total = static_cast<std::int64_t>(part.tokens.size());
  if (kv.committed_tokens() + total <= kv.context_tokens()) return;
  fail(ErrorCode::kNoSpace,
       "context full: {} tokens are held, {} more come, and the context has room for {}; use -c {}",
       kv.committed_tokens(), total, kv.context_tokens(), kv.committed_tokens() + total);
}

Span Engine::State::next_span(const SequenceTokens& part, std::int64_t logits_rows) {
  KvPages& kv = sequence(part.sequence);
  kv.reserve(std::ssize(part.tokens));
  return {&kv, part.tokens, kv.committed_tokens(), logits_rows};
}

// The step's tokens are committed when it has ended: one that fails or is interrupted leaves the
// sequences as they were.
void Engine::State::run_step(std::span<const Span> step_spans, const Plan* next,
                             const TogetherSink& sink, PhaseMeter& meter) {
  const Counters before = counters();
  const StepInput step{step_spans, sink, options.interrupted};
  const Plan& chosen = plan.plan_for(step.rows(), step.logits_rows());
  try {
    hold_decode_set(chosen);
    executor.play(chosen, step, next);
  } catch (...) {
    ring.clear();
    notes.push_back(
        fmt::format("a step of {} rows was given up: the {} that it read are in no phase",
                    step.rows(), format_size(tiers.disk_to_host().bytes - before.link.bytes)));
    throw;
  }
  std::int64_t depth = 0;
  for (const Span& span : step_spans) {
    span.kv->commit(std::ssize(span.ids));
    depth += span.first_position;
  }
  const std::int64_t n = std::ssize(step_spans);
  meter.add({step.rows(), step.logits_rows(), depth / n, n}, before, counters());
}

Engine::Engine(const Model& model, const EngineOptions& options, const Profile& profile)
    : state_(std::make_unique<State>(model, options, profile)) {}

Engine::~Engine() = default;

void Engine::load(const Progress& progress) { state_->load_pinned(progress); }

void Engine::feed(std::span<const std::int32_t> tokens, std::int64_t logits_rows,
                  const LogitsSink& sink, const Progress& progress, std::int64_t sequence) {
  State& s = *state_;
  WINDLASS_CHECK(logits_rows >= 1 && logits_rows <= s.options.logits_rows, logits_rows,
                 s.options.logits_rows);
  s.check_tokens({sequence, tokens});
  s.load_pinned(progress);
  const auto total = static_cast<std::int64_t>(tokens.size());
  const auto wanted_rows = [&](std::int64_t begin, std::int64_t end) {
    return std::max<std::int64_t>(end - std::max(begin, total - logits_rows), 0);
  };
  // One token after others is decode; a prompt's last micro-batch of one row is not.
  PhaseMeter& meter = total == 1 && n_tokens(sequence) > 0 ? s.decode : s.prefill;
  for (std::int64_t done = 0; done < total;) {
    const std::int64_t end = std::min(done + s.plan.layout.token_rows, total);
    // What follows the last micro-batch is decode, as far as can be known.
    const std::int64_t next_end = std::min(end + s.plan.layout.token_rows, total);
    const Plan& next =
        end == total ? s.plan.decode : s.plan.plan_for(next_end - end, wanted_rows(end, next_end));
    const Span span = s.next_span({sequence, tokens.subspan(static_cast<std::size_t>(done),
                                                            static_cast<std::size_t>(end - done))},
                                  wanted_rows(done, end));
    const auto emit = [&](const StepLogits& tile) {
      sink({span.first_position + std::ssize(span.ids) - tile.rows, tile.rows, tile.first_column,
            tile.columns, tile.data, tile.stride});
    };
    s.run_step(std::span(&span, 1), &next, emit, meter);
    done = end;
    if (progress) progress(done, total, "prefill");
  }
}

void Engine::feed_together(std::span<const SequenceTokens> parts, const TogetherSink& sink) {
  State& s = *state_;
  s.together.clear();
  std::int64_t rows = 0;
  bool decode = true;
  for (const SequenceTokens& part : parts) {
    s.check_tokens(part);
    const auto same = [&](const SequenceTokens& other) { return other.sequence == part.sequence; };
    WINDLASS_CHECK(std::count_if(parts.begin(), parts.end(), same) == 1, part.sequence);
    rows += std::ssize(part.tokens);
    decode = decode && part.tokens.size() == 1 && n_tokens(part.sequence) > 0;
  }
  WINDLASS_CHECK(rows >= 1 && rows <= max_step_tokens(), rows, max_step_tokens());
  WINDLASS_CHECK(std::ssize(parts) <= n_sequences(), parts.size(), n_sequences());
  s.load_pinned({});
  for (const SequenceTokens& part : parts) s.together.push_back(s.next_span(part, 1));
  s.run_step(s.together, &s.plan.decode, sink, decode ? s.decode : s.prefill);
}

std::span<const float> Engine::feed_for_last(std::span<const std::int32_t> tokens,
                                             const Progress& progress) {
  State& s = *state_;
  const auto keep_last_row = [&](const LogitsTile& tile) {
    const float* row = tile.data + (tile.rows - 1) * tile.stride;
    std::copy(row, row + tile.columns, s.last_logits.begin() + tile.first_column);
  };
  feed(tokens, 1, keep_last_row, progress);
  return s.last_logits;
}

void Engine::roll_back(std::int64_t n_tokens, std::int64_t sequence) {
  state_->sequence(sequence).roll_back(n_tokens);
}
std::int64_t Engine::n_tokens(std::int64_t sequence) const {
  return std::as_const(*state_).sequence(sequence).committed_tokens();
}
std::int64_t Engine::context_tokens() const { return state_->plan.context_tokens; }
std::int64_t Engine::n_sequences() const { return state_->plan.n_sequences; }
int Engine::n_threads() const { return state_->team.n_threads(); }
std::int64_t Engine::micro_batch_tokens() const { return state_->plan.micro_batch_tokens; }
std::int64_t Engine::max_step_tokens() const { return state_->plan.layout.token_rows; }
std::int64_t Engine::logits_tile_columns() const { return state_->plan.tile_columns; }
std::int64_t Engine::ring_slots() const { return state_->plan.placement().ring_slots; }

Counters Engine::counters() const { return state_->counters(); }

OpWork Engine::work(const StepLoad& load) const {
  return step_work(state_->plan, state_->model, state_->profile, load);
}

StepForecast Engine::forecast(const StepLoad& load) const {
  const State& s = *state_;
  return windlass::forecast(s.plan, s.model, s.profile, load, s.options.overlap);
}

MachineRates Engine::machine_rates() {
  State& s = *state_;
  const auto pinned_bytes = static_cast<std::size_t>(s.plan.placement().pinned_bytes);
  MachineRates rates =
      measure_machine_rates(s.team, cpu_op_table(s.options.isa), {s.memory.pinned(), pinned_bytes});
  if (rates.dram_bytes_per_s == 0) rates.dram_bytes_per_s = s.profile.dram_bytes_per_s;
  return rates;
}

Receipt Engine::receipt() const {
  const State& s = *state_;
  const auto expect = [&](const StepLoad& load) { return forecast(load); };
  Receipt receipt;
  receipt.model = s.model.path;
  receipt.load_s = s.load_s;
  receipt.load_bytes = s.load_bytes;
  const Budget& budget = s.memory.budget();
  receipt.tiers.push_back({budget.tier(), budget.limit_bytes(), budget.peak_bytes()});
  receipt.prefill = s.prefill.receipt(expect);
  receipt.decode = s.decode.receipt(expect);
  const auto n_experts = std::ssize(s.plan.experts);
  receipt.prefill.expected_expert_hit_rate =
      expected_hit_rate(s.plan.placement(), n_experts, false);
  receipt.decode.expected_expert_hit_rate = expected_hit_rate(s.plan.placement(), n_experts, true);
  receipt.isa = isa_name(s.options.isa);
  receipt.io_engine = s.io->name();
  receipt.threads = s.team.n_threads();
  for (const DiskFile& file : s.store.files()) receipt.direct_io = receipt.direct_io && file.direct;
  receipt.notes = s.notes;
  return receipt;
}

void Engine::write_trace() const {
  if (state_->options.trace_path.empty()) return;
  std::vector<std::string> labels;
  for (const GraphOp& op : state_->plan.graph.ops) labels.push_back(op.label);
  state_->trace.write(state_->options.trace_path, labels);
}

}  // namespace windlass
