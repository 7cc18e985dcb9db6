#include "pipeline/engine_state.h"

#include <algorithm>

#include "pipeline/memory_nodes.h"
#include "pipeline/weight_check.h"
#include "src/base/units.h"

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

std::optional<VramMemory> open_vram(ReservedPlan& reserved, std::int64_t limit_bytes) {
  if (!reserved.vram) return std::nullopt;
  const SessionPlan& plan = reserved.plan;
  return std::make_optional<VramMemory>(std::move(*reserved.vram), plan.placement().vram, plan.kv,
                                        plan.context_tokens, limit_bytes);
}

}  // namespace

Engine::State::State(const Model& opened, const EngineOptions& chosen, const Profile& machine)
    : model(opened),
      options(chosen),
      profile(machine),
      reserved(reserve_plan(model, options, profile,
                            options.ram_bytes ? *options.ram_bytes : auto_ram_bytes())),
      plan(reserved.plan),
      vram(open_vram(reserved, options.vram_bytes)),
      memory(plan, plan.needs.limit_bytes, vram ? &*vram : nullptr),
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
      gpu(open_gpu()),
      executor(tiers, runner, ring, experts,
               std::max(most_blocks(plan.with_head), most_blocks(plan.decode)), options.overlap,
               tracing() ? &trace : nullptr, gpu ? &gpu->lane() : nullptr),
      last_logits(static_cast<std::size_t>(model.spec.n_vocab)) {
  together.reserve(static_cast<std::size_t>(plan.n_sequences));
  place_on_nodes(team, plan, model.tensors, memory);
  notes.insert(notes.end(), reserved.notes.begin(), reserved.notes.end());
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

std::optional<GpuPart> Engine::State::open_gpu() {
  if (!vram) return std::nullopt;
  const GpuPartParts parts{*options.device,
                           *options.device_ops,
                           plan.placement(),
                           plan.blocks,
                           *vram,
                           tiers,
                           memory.pinned_bytes(),
                           memory.activation_bytes(),
                           memory.vram_staging(),
                           runner.binder(),
                           op_binder_parts(),
                           memory.kv};
  return std::make_optional<GpuPart>(parts);
}

OpBinderParts Engine::State::op_binder_parts() {
  return {model.tensors, model.spec,           plan.graph,
          plan.layout,   plan.decode_layout,   rope,
          window_rope,   memory.activations(), options.activations == Activations::kExact};
}

OpRunnerParts Engine::State::op_runner_parts() {
  return {op_binder_parts(), {cpu_op_table(options.isa), team}, tiers, memory.staging()};
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
  const std::int64_t vram_bytes = plan.placement().vram.pinned_bytes;
  const std::int64_t all_bytes = vram_bytes + plan.placement().pinned_bytes;
  const auto report = [&](std::int64_t done) {
    stop_if_interrupted();
    if (progress) progress(done, all_bytes, "load");
  };
  if (gpu) gpu->load(report);
  pinned.hold([&](std::int64_t done) { report(vram_bytes + done); });
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

}  // namespace windlass
