#include "pipeline/engine.h"

#include <algorithm>
#include <vector>

#include "pipeline/executor.h"
#include "pipeline/phase_meter.h"
#include "pipeline/session_plan.h"
#include "src/base/check.h"
#include "src/base/clock.h"
#include "src/base/error.h"
#include "src/base/half.h"
#include "src/base/units.h"
#include "tiers/kv_pages.h"
#include "tiers/tier_manager.h"

namespace windlass {
namespace {

// Reads in flight: the ring's 12 to 32 reads of 1 MiB, and single rows beside them.
constexpr int kReadsInFlight = 32;
constexpr std::int64_t kLoadPieceBytes = 16 * kMiB;  // 17 ms at 0.9 GB/s
constexpr std::int64_t kTraceEvents = 1 << 20;       // 24 MiB, only with --trace

std::int32_t most_blocks(const Plan& plan) {
  std::int32_t most = 0;
  for (const ComputeEntry& entry : plan.compute) most = std::max(most, entry.blocks.count);
  return most;
}

std::vector<std::string> op_labels(const LayerGraph& graph) {
  std::vector<std::string> labels;
  for (const GraphOp& op : graph.ops) labels.push_back(op.label);
  return labels;
}

}  // namespace

// Members in order of construction; each uses only those above it, and the arena outlives every
// read into it.
struct Engine::State {
  State(const Model& opened, const EngineOptions& chosen, const Profile& machine)
      : model(opened),
        options(chosen),
        profile(machine),
        ram_bytes(options.ram_bytes ? *options.ram_bytes : auto_ram_bytes()),
        plan(make_session_plan(model, options, profile, ram_bytes)),
        budget(Tier::kHost, ram_bytes),
        tables(budget.reserve(Tag::kTables, plan.needs.table_bytes)),
        arena(plan.placement().arena_bytes()),
        pinned(arena.carve(budget, Tag::kWeights, plan.placement().pinned_bytes)),
        ring_range(arena.carve(budget, Tag::kRing,
                               plan.placement().ring_slots * plan.placement().slot_bytes)),
        staging(arena.carve(budget, Tag::kStaging, plan.placement().staging_bytes)),
        activations(arena.carve(budget, Tag::kActivations, plan.placement().activation_bytes)),
        kv(plan.kv, plan.context_tokens, arena, budget),
        store(model.tensors.files),
        io(make_io_engine(kReadsInFlight, &io_note)),
        trace(tracing() ? kTraceEvents : 0),
        tiers(model.tensors, plan.blocks, store, *io, tier_options()),
        team(options.threads > 0 ? options.threads : usable_cores()),
        rope(model.spec.rope, read_frequency_factors()),
        runner(op_runner_parts()),
        ring(tiers, arena.at(ring_range), plan.placement().ring_slots, plan.placement().slot_bytes),
        executor(tiers, runner, ring,
                 std::max(most_blocks(plan.with_head), most_blocks(plan.decode)), options.overlap,
                 tracing() ? &trace : nullptr) {
    register_ring();
  }

  bool tracing() const { return !options.trace_path.empty(); }

  TierManagerOptions tier_options() {
    TierManagerOptions chosen;
    if (tracing()) {
      chosen.observer = [this](int place, double begin_s, double end_s) {
        trace.add(disk_row(place), -1, begin_s, end_s);
      };
    }
    return chosen;
  }

  OpRunnerParts op_runner_parts() {
    return {model.tensors,
            model.spec,
            plan.graph,
            plan.layout,
            plan.decode_layout,
            rope,
            tiers,
            cpu_op_table(options.isa),
            team,
            arena.at(activations),
            std::span(arena.at(staging), static_cast<std::size_t>(staging.size_bytes))};
  }

  // llama-3's rope_freqs.weight: [dims/2] floats, read once.
  std::vector<float> read_frequency_factors() {
    const TensorId id = model.spec.rope.frequency_factors;
    if (id == kNoTensor) return {};
    const std::int32_t row = 0;
    const std::byte* bytes = nullptr;
    tiers.fetch_rows(id, std::span(&row, 1),
                     std::span(arena.at(staging), static_cast<std::size_t>(staging.size_bytes)),
                     std::span(&bytes, 1));
    const auto* values = reinterpret_cast<const float*>(bytes);
    return {values, values + model.tensors.at(id).n_cols()};
  }

  void register_ring() {
    // Ring and staging lie side by side: one registered region for all streamed reads.
    const std::int64_t size = ring_range.size_bytes + staging.size_bytes;
    if (size == 0) return;
    std::string why;
    const std::int64_t first = std::min(ring_range.offset_bytes, staging.offset_bytes);
    if (!io->register_memory(std::span(arena.at(first), static_cast<std::size_t>(size)), &why))
      notes.push_back(why);
  }

  std::vector<TierManager::Placed> pieces(const std::vector<PlacedRun>& runs,
                                          const ArenaRange& home) const;
  void hold_decode_set(const Plan& chosen);
  void load_pinned(const Progress& progress);
  void run_step(std::span<const std::int32_t> tokens, std::int64_t logits_rows, const Plan* next,
                const LogitsSink& sink, PhaseMeter& meter);
  void check_tokens(std::span<const std::int32_t> tokens) const;
  void fill_forecast(const PhaseMeter& meter, PhaseReceipt& phase) const;

  const Model& model;
  EngineOptions options;
  Profile profile;
  std::int64_t ram_bytes;
  SessionPlan plan;
  Budget budget;
  Reservation tables;
  Arena arena;
  ArenaRange pinned, ring_range, staging, activations;
  KvPages kv;
  DiskStore store;
  std::string io_note;
  std::unique_ptr<IoEngine> io;
  Trace trace;
  TierManager tiers;
  Team team;
  RopeTable rope;
  OpRunner runner;
  Ring ring;
  Executor executor;

  bool loaded = false;
  bool decode_set_held = false;
  double load_s = 0;
  std::int64_t load_bytes = 0;
  std::vector<std::string> notes;
  std::vector<float> last_logits;
  PhaseMeter prefill, decode;
};

// Pinned runs in pieces of up to kLoadPieceBytes, so that progress shows and Ctrl-C is heard.
// Two pieces may both read the page that their border lies in: the same bytes to the same place.
std::vector<TierManager::Placed> Engine::State::pieces(const std::vector<PlacedRun>& runs,
                                                       const ArenaRange& home) const {
  std::vector<TierManager::Placed> placed_pieces;
  for (const PlacedRun& placed : runs) {
    std::byte* base = arena.at(home.offset_bytes + placed.arena_offset_bytes);
    const std::int32_t end = index_of(placed.run.blocks.first) + placed.run.blocks.count;
    for (std::int32_t first = index_of(placed.run.blocks.first); first < end;) {
      std::int32_t count = 1;
      while (first + count < end &&
             make_run(plan.blocks, {BlockId{first}, count + 1}).aligned.size_bytes <=
                 kLoadPieceBytes) {
        ++count;
      }
      const Run piece = make_run(plan.blocks, {BlockId{first}, count});
      const std::int64_t offset = piece.aligned.offset_bytes - placed.run.aligned.offset_bytes;
      placed_pieces.push_back({piece, base + offset});
      first += count;
    }
  }
  return placed_pieces;
}

// Steps of one row have decode_pinned resident in the activations that they leave unused; before a
// step of more rows it goes.
void Engine::State::hold_decode_set(const Plan& chosen) {
  const bool wanted = &chosen == &plan.decode;
  if (wanted == decode_set_held || plan.placement().decode_pinned.empty()) return;
  ring.keep_only(
      &chosen);  // may hold the same blocks, read ahead for a plan that now does not come
  const std::vector<TierManager::Placed> runs = pieces(plan.placement().decode_pinned, activations);
  if (wanted) {
    tiers.load_all(runs, [](std::int64_t) {});
  } else {
    for (const TierManager::Placed& placed : runs) tiers.drop(placed.run);
  }
  decode_set_held = wanted;
}

void Engine::State::load_pinned(const Progress& progress) {
  if (loaded) return;
  const double begin_s = now_s();
  const LinkStats before = tiers.disk_to_host();
  const std::int64_t total = plan.placement().pinned_bytes;
  for (const ArenaRange& range : {pinned, ring_range, staging, activations}) arena.populate(range);
  tiers.load_all(pieces(plan.placement().pinned, pinned), [&](std::int64_t done) {
    if (progress) progress(done, total, "load");
  });
  load_bytes = tiers.disk_to_host().bytes - before.bytes;
  load_s = now_s() - begin_s;
  loaded = true;
}

void Engine::State::check_tokens(std::span<const std::int32_t> tokens) const {
  for (const std::int32_t id : tokens) {
    if (id < 0 || id >= model.spec.n_vocab) {
      fail(ErrorCode::kUsage, "token id {} is outside the vocabulary of {} (0 to {})", id,
           model.path, model.spec.n_vocab - 1);
    }
  }
}

void Engine::State::run_step(std::span<const std::int32_t> tokens, std::int64_t logits_rows,
                             const Plan* next, const LogitsSink& sink, PhaseMeter& meter) {
  const double begin_s = now_s();
  const LinkStats link = tiers.disk_to_host();
  const ExecutorStats cpu = executor.stats();
  const std::int64_t depth = kv.committed_tokens();
  const auto rows = static_cast<std::int64_t>(tokens.size());
  kv.reserve(rows);
  const Span span{&kv, tokens, depth, logits_rows};
  StepInput step{std::span(&span, 1), [&](const StepLogits& tile) {
                   sink({depth + rows - tile.rows, tile.rows, tile.first_column, tile.columns,
                         tile.data, tile.stride});
                 }};
  const Plan& chosen = plan.plan_for(rows, logits_rows);
  hold_decode_set(chosen);
  executor.play(chosen, step, next);
  kv.commit(rows);
  meter.add({rows, logits_rows, depth}, now_s() - begin_s, link, tiers.disk_to_host(), cpu,
            executor.stats());
}

Engine::Engine(const Model& model, const EngineOptions& options, const Profile& profile)
    : state_(std::make_unique<State>(model, options, profile)) {
  state_->last_logits.resize(static_cast<std::size_t>(model.spec.n_vocab));
  if (!state_->io_note.empty()) state_->notes.push_back(state_->io_note);
  for (const DiskFile& file : state_->store.files()) {
    if (!file.direct)
      state_->notes.push_back(
          fmt::format("{}: buffered reads: {}", file.path, file.buffered_reason));
  }
}

Engine::~Engine() = default;

void Engine::load(const Progress& progress) { state_->load_pinned(progress); }

void Engine::feed(std::span<const std::int32_t> tokens, std::int64_t logits_rows,
                  const LogitsSink& sink, const Progress& progress) {
  State& s = *state_;
  WINDLASS_CHECK(logits_rows >= 1 && logits_rows <= s.options.logits_rows, logits_rows,
                 s.options.logits_rows);
  if (tokens.empty()) fail(ErrorCode::kUsage, "no tokens to run: give at least one");
  s.check_tokens(tokens);
  const auto total = static_cast<std::int64_t>(tokens.size());
  if (s.kv.committed_tokens() + total > s.kv.context_tokens()) {
    fail(ErrorCode::kNoSpace,
         "context full: {} tokens are held, {} more come, and the context has room for {}; use -c "
         "{}",
         s.kv.committed_tokens(), total, s.kv.context_tokens(), s.kv.committed_tokens() + total);
  }
  s.load_pinned(progress);
  const auto wanted_rows = [&](std::int64_t begin, std::int64_t end) {
    return std::max<std::int64_t>(end - std::max(begin, total - logits_rows), 0);
  };
  // One token after others is decode; a prompt's last micro-batch of one row is not.
  PhaseMeter& meter = total == 1 && s.kv.committed_tokens() > 0 ? s.decode : s.prefill;
  for (std::int64_t done = 0; done < total;) {
    const std::int64_t end = std::min(done + s.plan.layout.token_rows, total);
    // What follows the last micro-batch is decode, as far as can be known.
    const std::int64_t next_end = std::min(end + s.plan.layout.token_rows, total);
    const Plan& next =
        end == total ? s.plan.decode : s.plan.plan_for(next_end - end, wanted_rows(end, next_end));
    s.run_step(tokens.subspan(static_cast<std::size_t>(done), static_cast<std::size_t>(end - done)),
               wanted_rows(done, end), &next, sink, meter);
    done = end;
    if (progress) progress(done, total, "prefill");
  }
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

void Engine::roll_back(std::int64_t n_tokens) { state_->kv.roll_back(n_tokens); }
std::int64_t Engine::n_tokens() const { return state_->kv.committed_tokens(); }
std::int64_t Engine::context_tokens() const { return state_->kv.context_tokens(); }

void Engine::State::fill_forecast(const PhaseMeter& meter, PhaseReceipt& phase) const {
  double predicted_s = 0, bound_s = 0, steps = 0, worst_s = 0;
  for (const PhaseMeter::Weighted& shape : meter.shapes()) {
    const StepForecast one = forecast(plan, model, profile, shape.load, options.overlap);
    predicted_s += one.prediction.step_s * shape.steps;
    bound_s += one.bound.step_s * shape.steps;
    steps += shape.steps;
    if (one.bound.step_s * shape.steps <= worst_s) continue;
    worst_s = one.bound.step_s * shape.steps;
    phase.bottleneck = one.bound.bottleneck;
  }
  if (steps == 0) return;
  phase.predicted_s_per_step = predicted_s / steps;
  phase.bound_s_per_step = bound_s / steps;
}

Receipt Engine::receipt() const {
  const State& s = *state_;
  Receipt receipt;
  receipt.model = s.model.path;
  receipt.load_s = s.load_s;
  receipt.load_bytes = s.load_bytes;
  receipt.tiers.push_back({Tier::kHost, s.budget.limit_bytes(), s.budget.peak_bytes()});
  receipt.prefill = s.prefill.receipt();
  receipt.decode = s.decode.receipt();
  s.fill_forecast(s.prefill, receipt.prefill);
  s.fill_forecast(s.decode, receipt.decode);
  receipt.isa = isa_name(s.options.isa);
  receipt.io_engine = s.io->name();
  receipt.threads = s.team.n_threads();
  for (const DiskFile& file : s.store.files()) receipt.direct_io = receipt.direct_io && file.direct;
  receipt.notes = s.notes;
  return receipt;
}

void Engine::write_trace() const {
  if (state_->options.trace_path.empty()) return;
  state_->trace.write(state_->options.trace_path, op_labels(state_->plan.graph));
}

}  // namespace windlass
