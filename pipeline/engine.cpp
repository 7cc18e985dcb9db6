#include "pipeline/engine.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "pipeline/engine_state.h"
#include "src/base/check.h"
#include "src/base/error.h"

namespace windlass {

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
  if (s.vram) {
    receipt.gpu = s.options.device->info().name;
    const Budget& vram = s.vram->budget();
    receipt.tiers.push_back({vram.tier(), vram.limit_bytes(), vram.peak_bytes()});
  }
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
  if (s.gpu) {
    receipt.notes.insert(receipt.notes.end(), s.gpu->notes().begin(), s.gpu->notes().end());
  }
  return receipt;
}

void Engine::write_trace() const {
  if (state_->options.trace_path.empty()) return;
  std::vector<std::string> labels;
  for (const GraphOp& op : state_->plan.graph.ops) labels.push_back(op.label);
  state_->trace.write(state_->options.trace_path, labels);
}

}  // namespace windlass
