#include "pipeline/cost_model.h"

#include <algorithm>
#include <cmath>

#include "pipeline/expert_runs.h"
#include "src/base/units.h"
#include "src/ops/op_args.h"

namespace windlass {
namespace {

double ratio(double work, double rate) { return rate > 0 ? work / rate : 0; }

}  // namespace

CostModel::CostModel(const CostModelParts& parts) : parts_(parts) {
  for (const GraphOp& op : parts_.graph.ops) n_chosen_ = std::max(n_chosen_, op.n_chosen);
}

std::int64_t CostModel::rows_of(RowSet rows, const StepLoad& load) const {
  if (rows == RowSet::kRouted) return load.rows * n_chosen_;
  return rows == RowSet::kTokens ? load.rows : load.logits_rows;
}

double CostModel::played_share(const ComputeEntry& entry, const StepLoad& load) const {
  const GraphOp& op = parts_.graph.ops[static_cast<std::size_t>(entry.op)];
  if (!has_experts(op)) return 1;
  const double chosen = static_cast<double>(op.n_chosen) / static_cast<double>(op.n_stacked);
  return 1 - std::pow(1 - std::min(chosen, 1.0), static_cast<double>(load.rows));
}

// A matrix that is played serves its share of the routed rows, and all of these are served.
double CostModel::experts_s(const GraphOp& op, const ComputeEntry& entry,
                            const StepLoad& load) const {
  const double share = played_share(entry, load);
  const auto routed = static_cast<double>(load.rows * op.n_chosen);
  const double rows = routed / (share * static_cast<double>(op.n_stacked));
  return share * (parts_.profile.op_overhead_s +
                  mat_mul_s(op, entry, std::max<std::int64_t>(std::llround(rows), 1)));
}

double CostModel::compute_s(const ComputeEntry& entry, const StepLoad& load) const {
  const GraphOp& op = parts_.graph.ops[static_cast<std::size_t>(entry.op)];
  const std::int64_t rows = rows_of(op.rows, load);
  const double overhead = parts_.profile.op_overhead_s;
  if (has_experts(op)) return experts_s(op, entry, load);
  if (op.kind == OpKind::kMatMul) return overhead + mat_mul_s(op, entry, rows);
  if (op.kind == OpKind::kAttention) {
    const OpWork work = attention_work(op, load);
    return overhead + std::max(ratio(work.kv_bytes, parts_.profile.attention_bytes_per_s),
                               ratio(work.f32_ops, parts_.profile.attention_ops_per_s));
  }
  if (op.kind == OpKind::kEmitLogits) {
    return ratio(static_cast<double>(rows * entry.n_rows) * sizeof(float),
                 parts_.profile.dram_bytes_per_s);
  }
  return overhead + ratio(elementwise_bytes(op, entry, load), parts_.profile.dram_bytes_per_s);
}

// One or two inputs and an output of f32, mostly from cache: 8 bytes an element at the speed of
// memory is generous.
double CostModel::elementwise_bytes(const GraphOp& op, const ComputeEntry& entry,
                                    const StepLoad& load) const {
  const View& view = op.in.present() ? op.in : op.out;
  const std::int64_t width = parts_.graph.buffer(view.buffer).tiled
                                 ? entry.n_rows
                                 : view.vectors * parts_.graph.width_of(view);
  return 8.0 * static_cast<double>(rows_of(op.rows, load) * width);
}

double CostModel::gpu_s(const ComputeEntry& entry, const StepLoad& load) const {
  const GraphOp& op = parts_.graph.ops[static_cast<std::size_t>(entry.op)];
  const GpuProfile& rates = gpu();
  if (op.kind == OpKind::kMatMul) {
    const BufferKind form = parts_.graph.buffer(op.in.buffer).kind;
    const double ops_per_s = form == BufferKind::kQ8     ? rates.int8_ops_per_s
                             : form == BufferKind::kBf16 ? rates.f16_ops_per_s
                                                         : rates.f32_ops_per_s;
    const OpWork product = work(entry, load);
    return rates.op_overhead_s + std::max(ratio(product.weight_bytes, rates.vram_bytes_per_s),
                                          ratio(product.ops(), ops_per_s));
  }
  if (op.kind == OpKind::kAttention) {
    const OpWork attention = attention_work(op, load);
    return rates.op_overhead_s + std::max(ratio(attention.kv_bytes, rates.vram_bytes_per_s),
                                          ratio(attention.f32_ops, rates.f16_ops_per_s));
  }
  return rates.op_overhead_s + ratio(elementwise_bytes(op, entry, load), rates.vram_bytes_per_s);
}

double CostModel::slowdown(const ComputeEntry& entry, const StepLoad& load, bool disk_busy,
                           double copied_bytes_per_s) const {
  constexpr double kMostShare = 0.5;
  const double dram = parts_.profile.dram_bytes_per_s;
  const double disk_share =
      disk_busy ? std::min(ratio(2.0 * parts_.profile.disk_bytes_per_s, dram), kMostShare) : 0;
  const double by_disk = 1.0 / (1.0 - disk_share);
  if (copied_bytes_per_s <= 0 || dram <= 0) return by_disk;
  const double wanted = ratio(work(entry, load).bytes(), compute_s(entry, load)) / by_disk;
  const double left = std::max(dram / by_disk - copied_bytes_per_s, (1 - kMostShare) * dram / 2);
  return by_disk * std::max(1.0, wanted / left);
}

std::int64_t CostModel::move_bytes(const BufferMove& move, const StepLoad& load) const {
  const BufferSpec& buffer = parts_.graph.buffer(move.buffer);
  const std::int64_t rows = rows_of(buffer.rows, load);
  if (buffer.kind == BufferKind::kQ8) return rows * buffer.vectors * q8_row_bytes(buffer.width);
  if (buffer.kind == BufferKind::kBf16) return rows * buffer.vectors * bf16_row_bytes(buffer.width);
  const std::int64_t columns = move.n_columns > 0 ? move.n_columns : buffer.width;
  return rows * columns * static_cast<std::int64_t>(sizeof(float));
}

double CostModel::h2d_s(std::int64_t size_bytes) const {
  return ratio(static_cast<double>(size_bytes), gpu().h2d_bytes_per_s);
}

double CostModel::d2h_s(std::int64_t size_bytes) const {
  return ratio(static_cast<double>(size_bytes), gpu().d2h_bytes_per_s);
}

double CostModel::mat_mul_s(const GraphOp& op, const ComputeEntry& entry, std::int64_t rows) const {
  const TensorInfo& tensor = parts_.tensors.at(op.weight);
  const bool rounded = parts_.graph.buffer(op.in.buffer).kind != BufferKind::kF32;
  const MatMulRates rate = matmul_rates(parts_.profile, tensor.type, rounded);
  const double weights = static_cast<double>(entry.n_rows * tensor.n_cols());
  const double stream_s =
      ratio(static_cast<double>(entry.n_rows * tensor.row_bytes()), rate.gemv_bytes_per_s);
  if (rows == 1) return stream_s;
  const double compute_s =
      ratio(weights, rows <= kFewRows ? rate.unpack_weights_per_s : rate.panel_weights_per_s) +
      ratio(2.0 * static_cast<double>(rows) * weights, rate.gemm_ops_per_s);
  return std::max(stream_s, compute_s);
}

OpWork CostModel::attention_work(const GraphOp& op, const StepLoad& load) const {
  const auto sequences = static_cast<double>(load.sequences);
  const double depth = static_cast<double>(load.depth_tokens),
               rows = static_cast<double>(load.rows) / sequences;
  double keys = depth + 0.5 * (rows + 1);  // that a query sees, on average
  double read_keys = keys;
  if (op.window_tokens > 0) {
    const auto window = static_cast<double>(op.window_tokens);
    keys = std::min(keys, window);
    read_keys = std::min(read_keys, window + 0.5 * (rows - 1));
  }
  // A latent value lies inside its key.
  const std::int64_t value_bytes =
      parts_.spec.latent ? 0 : kv_bytes(parts_.kv_types.values, parts_.spec.v_dim());
  OpWork work;
  work.kv_bytes =
      sequences * read_keys *
      static_cast<double>(kv_bytes(parts_.kv_types.keys, parts_.spec.k_dim()) + value_bytes);
  work.f32_ops = 2.0 * static_cast<double>(load.rows) * keys *
                 static_cast<double>(parts_.spec.q_dim() + parts_.spec.attention_dim());
  return work;
}

OpWork CostModel::work(const ComputeEntry& entry, const StepLoad& load) const {
  const GraphOp& op = parts_.graph.ops[static_cast<std::size_t>(entry.op)];
  if (op.kind == OpKind::kAttention) return attention_work(op, load);
  OpWork work;
  if (op.kind != OpKind::kMatMul) return work;
  const TensorInfo& tensor = parts_.tensors.at(op.weight);
  const double rows = has_experts(op) ? static_cast<double>(load.rows * op.n_chosen) /
                                            static_cast<double>(op.n_stacked)
                                      : static_cast<double>(rows_of(op.rows, load));
  work.weight_bytes =
      played_share(entry, load) * static_cast<double>(entry.n_rows * tensor.row_bytes());
  const bool int8 = parts_.graph.buffer(op.in.buffer).kind == BufferKind::kQ8;
  (int8 ? work.int8_ops : work.f32_ops) =
      2.0 * rows * static_cast<double>(entry.n_rows * tensor.n_cols());
  return work;
}

OpWork& OpWork::operator+=(const OpWork& other) {
  weight_bytes += other.weight_bytes;
  kv_bytes += other.kv_bytes;
  int8_ops += other.int8_ops;
  f32_ops += other.f32_ops;
  return *this;
}

double CostModel::read_s(std::int64_t size_bytes) const {
  return ratio(static_cast<double>(size_bytes), parts_.profile.disk_bytes_per_s);
}

std::int64_t CostModel::fetched_bytes(const ComputeEntry& entry, const StepLoad& load,
                                      bool embedding_resident) const {
  const GraphOp& op = parts_.graph.ops[static_cast<std::size_t>(entry.op)];
  if (!fetches_rows(op.kind)) return 0;
  if (embedding_resident && op.kind == OpKind::kEmbedRows) return 0;
  // A row of b bytes at any 32-byte offset covers b/4096 + 1 pages on average.
  return load.rows * align_up(parts_.tensors.at(op.weight).row_bytes() + 1, kDirectAlignment);
}

}  // namespace windlass
