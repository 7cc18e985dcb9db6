#include "pipeline/session_plan.h"

#include <algorithm>
#include <utility>

#include "pipeline/gpu_rows.h"
#include "pipeline/gpu_tables.h"
#include "pipeline/planner_tiers.h"
#include "src/base/error.h"
#include "src/base/units.h"
#include "tiers/kv_pages.h"
#include "tiers/residency.h"

namespace windlass {
namespace {

// With its 4 KiB rounding a block stays within 1 MiB: the size from which direct reads run at the
// disk's full rate here.
constexpr std::int64_t kBlockBytes = kMiB - 2 * kDirectAlignment;
// Rows fetched singly at a time: enough to fill the disk's queue, 512 KiB for rows of two pages.
constexpr std::int64_t kFetchRows = 64;
// Run and request tables, plans, the graph's strings: bounded by a fixed part and a part per block
// (measured on 40 GB: 390 B).
constexpr std::int64_t kFixedTableBytes = kMiB;
constexpr std::int64_t kTableBytesPerBlock = 400;
// The expert cache's counts and lists (65 B), and the run.
constexpr std::int64_t kTableBytesPerExpertRun = 100;

void check_kv_type(const Model& model, const char* flag, KvType type, std::int64_t dim) {
  if (kv_type_fits(type, dim)) return;
  fail(ErrorCode::kUsage,
       "{} q8_0: blocks of {} do not divide the heads of {}, which have {} elements; use {} f16",
       flag, kKvBlock, model.path, dim, flag);
}

void check_options(const Model& model, const EngineOptions& options) {
  if (options.context_tokens < 1) {
    fail(ErrorCode::kUsage, "context of {} tokens: it must be at least 1", options.context_tokens);
  }
  if (options.context_tokens > model.spec.context_length) {
    fail(ErrorCode::kUsage, "context of {} tokens: {} was trained for {}; ask for -c {} or less",
         options.context_tokens, model.path, model.spec.context_length, model.spec.context_length);
  }
  if (options.micro_batch_tokens < 0) {
    fail(ErrorCode::kUsage, "-ub {}: it must be positive", options.micro_batch_tokens);
  }
  check_kv_type(model, "-ctk", options.kv_types.keys, model.spec.head_dim);
  // Latent values are parts of their keys.
  if (!model.spec.latent) {
    check_kv_type(model, "-ctv", options.kv_types.values, model.spec.value_dim);
  } else if (options.kv_types.values != options.kv_types.keys) {
    fail(ErrorCode::kUsage,
         "-ctk {} and -ctv {}: {} keeps its values inside its keys, so pass the same type twice",
         kv_type_name(options.kv_types.keys), kv_type_name(options.kv_types.values), model.path);
  }
  if (options.n_sequences < 1)
    fail(ErrorCode::kUsage, "-np {}: it must be at least 1", options.n_sequences);
}

std::int64_t largest_block_rows(const BlockTable& blocks, const LayerGraph& graph) {
  std::int64_t rows = 1;
  for (const GraphOp& op : graph.ops) {
    if (op.kind != OpKind::kMatMul || !graph.buffer(op.out.buffer).tiled) continue;
    const BlockRange range = blocks.of_tensor(op.weight);
    for (std::int32_t i = 0; i < range.count; ++i) {
      rows = std::max(rows, blocks.at(BlockId{index_of(range.first) + i}).n_rows);
    }
  }
  return rows;
}

std::int64_t row_staging_bytes(const LayerGraph& graph, const TensorTable& tensors) {
  std::int64_t most = 0;
  for (const GraphOp& op : graph.ops) {
    if (!fetches_rows(op.kind)) continue;
    most = std::max(
        most, align_up(tensors.at(op.weight).row_bytes(), kDirectAlignment) + kDirectAlignment);
  }
  return most;
}

[[noreturn]] void refuse(const SessionPlan& session, std::int64_t ram_bytes,
                         std::int64_t least_bytes) {
  const std::int64_t least_mib = (least_bytes + kMiB - 1) / kMiB;
  const std::int64_t without_kv = least_bytes - session.needs.kv_bytes;
  const std::int64_t page = session.n_sequences * session.kv.size_bytes(kKvPageTokens);
  const std::int64_t tokens =
      std::max<std::int64_t>((ram_bytes - without_kv) / page, 0) * kKvPageTokens;
  const std::string or_context = tokens > 0 ? fmt::format(", or -c {}", tokens) : std::string();
  const std::string sequences = session.n_sequences > 1
                                    ? fmt::format("{} sequences of ", session.n_sequences)
                                    : std::string();
  fail(ErrorCode::kNoSpace,
       "--ram {} is too small: KV for {}{} tokens takes {}, activations {}, tables {}, and weights "
       "need {}; the least that works is --ram {}MiB{}",
       format_size(ram_bytes), sequences, session.context_tokens,
       format_size(session.needs.kv_bytes), format_size(session.needs.activation_bytes),
       format_size(session.needs.table_bytes),
       session.experts.empty() ? "a ring" : "a ring and a cache of experts", least_mib, or_context);
}

HostNeeds host_needs(const SessionPlan& session, const Model& model, const EngineOptions& options,
                     std::int64_t ram_bytes, std::int64_t rows) {
  HostNeeds needs;
  needs.limit_bytes = ram_bytes;
  needs.staging_bytes =
      std::min(kFetchRows, rows) * row_staging_bytes(session.graph, model.tensors);
  needs.activation_bytes = session.layout.size_bytes;
  needs.reusable_activation_bytes = session.layout.size_bytes - session.decode_layout.size_bytes;
  needs.kv_bytes = session.n_sequences * session.kv.size_bytes(session.context_tokens);
  needs.table_bytes =
      options.table_bytes + kFixedTableBytes +
      kTableBytesPerBlock * static_cast<std::int64_t>(session.blocks.blocks().size()) +
      kTableBytesPerExpertRun * std::ssize(session.experts) +
      // the first sequence's is in the fixed part
      (session.n_sequences - 1) * session.kv.table_bytes(session.context_tokens);
  return needs;
}

// Columns of logits held at once: a block's, or where a GPU hands them to the host, all of a small
// step's, so that the head is one product and one copy.
std::int64_t tile_columns(const SessionPlan& session, const ModelSpec& spec,
                          std::int64_t logits_rows, bool with_gpu) {
  constexpr std::int64_t kMostTileBytes = 16 * kMiB;
  const std::int64_t block = largest_block_rows(session.blocks, session.graph);
  if (!with_gpu) return block;
  const std::int64_t fit =
      kMostTileBytes / (logits_rows * static_cast<std::int64_t>(sizeof(float)));
  return std::max(block, std::min(spec.n_vocab, fit));
}

struct StepRows {
  std::int64_t most, least;
};

void plan_gpu_memory(SessionPlan& session, const EngineOptions& options, const StepRows& rows) {
  session.device_ops = options.device_ops;
  TierNeeds& tiers = session.tiers;
  tiers.host = session.needs;
  tiers.vram_limit_bytes = options.vram_bytes;
  tiers.vram_activation_bytes = align_up(
      std::max(session.layout.size_bytes, session.decode_layout.size_bytes), kDirectAlignment);
  tiers.vram_table_bytes = gpu_table_bytes(session.kv, session.context_tokens, session.n_sequences);
  tiers.vram_tile_columns = session.tile_columns;
  tiers.kv = session.kv;
  tiers.context_tokens = session.context_tokens;
  tiers.n_sequences = session.n_sequences;
  tiers.decode = {rows.least, rows.least, 0, rows.least};
  // -n's 128 tokens after a prompt as long as may come, but for very long ones: planned for its own
  // sake, a prompt's KV cache would take the VRAM of the weights.
  constexpr std::int64_t kMostMicroBatches = 8, kTokens = 128;
  const std::int64_t prompt = options.max_rows > 0 ? options.max_rows : session.context_tokens;
  const std::int64_t micro_batches =
      std::clamp<std::int64_t>((prompt + rows.most - 1) / rows.most, 1, kMostMicroBatches);
  tiers.prefill_weight = static_cast<double>(micro_batches) / static_cast<double>(kTokens);
  tiers.prefill = {rows.most, std::min<std::int64_t>(rows.most, 1), 0, 1};
}

[[noreturn]] void refuse_vram(const SessionPlan& session, std::int64_t least_bytes) {
  const std::int64_t least_mib = (least_bytes + kMiB - 1) / kMiB;
  fail(ErrorCode::kNoSpace,
       "--vram {} is too small: activations take {}, tables {}, and weights need a ring; the least "
       "that helps is --vram {}MiB, and --vram 0 computes on the CPU",
       format_size(session.tiers.vram_limit_bytes),
       format_size(session.tiers.vram_activation_bytes),
       format_size(session.tiers.vram_table_bytes), least_mib);
}

// What the GPU's kernels can take; all, of one that is only planned for.
OnGpu on_gpu(const SessionPlan& session, const TensorTable& tensors) {
  if (session.device_ops == nullptr) return nullptr;
  return [&session, &tensors](const GraphOp& op) {
    return gpu_has_row(*session.device_ops, session.graph, tensors, op);
  };
}

// Those with the GPU and those without, the soonest first.
std::vector<Candidate> choose_with_gpu(const SessionPlan& session, const CostModelParts& parts,
                                       const EngineOptions& options,
                                       std::vector<Candidate> without) {
  const TierNeeds& needs = session.tiers;
  const TierPlacer placer(parts, session.blocks, needs, on_gpu(session, parts.tensors));
  if (needs.vram_limit_bytes < placer.least_vram_bytes())
    refuse_vram(session, placer.least_vram_bytes());
  std::vector<Candidate> all =
      tier_candidates(placer, parts, session.blocks, needs, options.overlap);
  if (!without.empty()) {
    Candidate& best = without.front();
    best.name = "the CPU alone: " + best.name;
    predict(best, parts, session.blocks, needs.decode, needs.prefill, options.overlap);
    all.push_back(std::move(best));
  }
  sort_candidates(all, needs.prefill_weight);
  return all;
}

// BF16 weights take bf16 activations where the instruction set multiplies these.
Activations activations_of(const EngineOptions& options) {
  const bool pairs = cpu_op_table(options.isa).round_rows != nullptr;
  return options.activations == Activations::kInt8 && pairs ? Activations::kInt8Bf16
                                                            : options.activations;
}

}  // namespace

SessionPlan make_session_plan(const Model& model, const EngineOptions& options,
                              const Profile& profile, std::int64_t ram_bytes) {
  check_options(model, options);
  const ModelSpec& spec = model.spec;
  SessionPlan session{build_layer_graph(spec, model.tensors, activations_of(options)),
                      BlockTable(model.tensors, kBlockBytes),
                      {},
                      {},
                      {},
                      {},
                      {},
                      {},
                      nullptr,
                      0,
                      1,
                      0,
                      0,
                      {},
                      {},
                      {},
                      {},
                      false};
  session.experts = expert_runs(session.graph, session.blocks);
  session.kv = {spec.n_layers,  spec.n_kv_heads,  spec.head_dim,
                spec.value_dim, options.kv_types, spec.latent.has_value()};
  session.context_tokens = options.context_tokens;
  session.n_sequences = options.n_sequences;
  const std::int64_t most_rows = options.max_rows > 0 ? options.max_rows : session.context_tokens;
  session.micro_batch_tokens =
      options.micro_batch_tokens > 0
          ? options.micro_batch_tokens
          : default_micro_batch(session.graph, spec, model.tensors.weight_bytes());
  const std::int64_t least_rows = session.n_sequences;
  const std::int64_t rows = std::max(std::min(session.micro_batch_tokens, most_rows), least_rows);
  const std::int64_t logits_rows = std::max(std::min(rows, options.logits_rows), least_rows);
  session.tile_columns = tile_columns(session, spec, logits_rows, options.vram_bytes > 0);
  session.layout = make_activation_layout(session.graph, spec, rows, logits_rows,
                                          session.tile_columns, session.context_tokens);
  session.decode_layout = make_activation_layout(session.graph, spec, least_rows, least_rows,
                                                 session.tile_columns, session.context_tokens);
  session.needs = host_needs(session, model, options, ram_bytes, rows);

  const CostModelParts parts = {model.tensors, spec, session.graph, profile, options.kv_types};
  const StepLoad decode{least_rows, least_rows, 0, least_rows};
  auto chosen = choose_placement(session.graph, session.blocks, session.needs, CostModel(parts),
                                 decode, options.overlap, options.ring_slots);
  const auto* infeasible = std::get_if<Infeasible>(&chosen);
  if (infeasible == nullptr) session.candidates = std::get<std::vector<Candidate>>(chosen);
  if (options.vram_bytes > 0) {
    if (!profile.gpu) {
      fail(ErrorCode::kUnsupported,
           "--vram {}: the profile of this machine says nothing of a GPU; use --vram 0",
           format_size(options.vram_bytes));
    }
    plan_gpu_memory(session, options, {rows, least_rows});
    session.candidates = choose_with_gpu(session, parts, options, std::move(session.candidates));
  }
  if (session.candidates.empty()) refuse(session, ram_bytes, infeasible->least_bytes);
  session.with_head = make_plan(session.graph, session.blocks, session.placement(), true);
  session.without_head = make_plan(session.graph, session.blocks, session.placement(), false);
  session.decode = make_plan(session.graph, session.blocks, session.placement(), true, true);
  session.embedding_resident =
      embedding_resident(session.graph, session.blocks, session.placement());
  return session;
}

std::int64_t least_ram_bytes(const Model& model, const EngineOptions& options,
                             const Profile& profile) {
  constexpr std::int64_t kPlenty = std::int64_t{1} << 44;
  const SessionPlan plan = make_session_plan(model, options, profile, kPlenty);
  return least_limit_bytes(plan.graph, plan.blocks, plan.needs);
}

OpWork step_work(const SessionPlan& session, const Model& model, const Profile& profile,
                 const StepLoad& load) {
  const CostModel costs({model.tensors, model.spec, session.graph, profile, session.kv.types});
  OpWork sum;
  for (const ComputeEntry& entry : session.plan_for(load.rows, load.logits_rows).compute)
    sum += costs.work(entry, load);
  return sum;
}

namespace {

Bound tier_bound(const SessionPlan& session, const CostModelParts& parts, const StepLoad& load) {
  return TierPlacer(parts, session.blocks, session.tiers, on_gpu(session, parts.tensors))
      .bound(load);
}

}  // namespace

StepForecast forecast(const SessionPlan& session, const Model& model, const Profile& profile,
                      const StepLoad& load, bool overlap, bool spans) {
  const CostModelParts parts = {model.tensors, model.spec, session.graph, profile,
                                session.kv.types};
  const CostModel costs(parts);
  const Plan& plan = session.plan_for(load.rows, load.logits_rows);
  const Placement& placement = session.placement();
  StepForecast result;
  SimulatorOptions simulated = simulator_options(
      placement, session.experts, overlap, session.embedding_resident, &plan == &session.decode);
  simulated.blocks = &session.blocks;
  simulated.spans = spans;
  result.prediction = simulate(plan, costs, load, simulated);
  if (placement.vram.in_use()) {
    result.bound = tier_bound(session, parts, load);
  } else {
    result.bound = make_bound(plan, session.blocks, costs, load, session.needs.limit_bytes,
                              session.embedding_resident);
  }
  return result;
}

}  // namespace windlass
