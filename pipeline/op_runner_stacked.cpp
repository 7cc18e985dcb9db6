// OpRunner's ops on stacked matrices: a mixture's experts on the rows that are routed to them, and
// products of each vector of a row with a matrix of its own.
#include <algorithm>
#include <utility>

#include "pipeline/op_runner.h"
#include "src/base/check.h"

namespace windlass {
namespace {

// Rows [first, first + n) of a weight cut into matrices: those that are of matrix v, counted from
// its first.
WorkRange rows_inside(const MatrixRows& matrices, std::int64_t v, const ComputeEntry& entry) {
  const std::int64_t begin = matrices.first + v * matrices.stride;
  const std::int64_t end = begin + matrices.count;
  return {std::max(entry.first_row, begin) - begin,
          std::min(entry.first_row + entry.n_rows, end) - begin};
}

// The matrices that the entry has rows of, and perhaps one more at either end.
WorkRange matrices_of(const GraphOp& op, const ComputeEntry& entry) {
  const MatrixRows& matrices = op.matrix_rows;
  const std::int64_t last = entry.first_row + entry.n_rows - 1 - matrices.first;
  return {std::max<std::int64_t>(entry.first_row - matrices.first, 0) / matrices.stride,
          std::min(op.n_stacked, last / matrices.stride + 1)};
}

// One op over all matrices of an entry: `product` is of the entry's rows for vector 0.
// Items: the entry's rows.
struct ByVectorArgs {
  void (*function)(const MatMulArgs&, WorkRange);
  MatMulArgs product;
  const GraphOp* op;
  ComputeEntry entry;
  std::int64_t x_vector_bytes, out_vector;
};

void multiply_by_vector(const ByVectorArgs& args, WorkRange items) {
  ComputeEntry part = args.entry;
  part.first_row += items.begin;
  part.n_rows = items.end - items.begin;
  const WorkRange matrices = matrices_of(*args.op, part);
  for (std::int64_t v = matrices.begin; v < matrices.end; ++v) {
    const WorkRange rows = rows_inside(args.op->matrix_rows, v, part);
    if (rows.begin >= rows.end) continue;
    const MatrixRows& of = args.op->matrix_rows;
    const std::int64_t first = of.first + v * of.stride + rows.begin - args.entry.first_row;
    MatMulArgs product = args.product;
    product.weights += first * product.row_bytes;
    product.n_out = rows.end - rows.begin;
    product.x = static_cast<const std::byte*>(product.x) + v * args.x_vector_bytes;
    product.out += v * args.out_vector + rows.begin;
    args.function(product, {0, product.n_out});
  }
}

// As ByVectorArgs, where rows are inputs. Items: the matrices from `first_matrix` on.
struct TransposedByVectorArgs {
  void (*function)(const MatMulTransposedArgs&, WorkRange);
  MatMulTransposedArgs product;
  const GraphOp* op;
  ComputeEntry entry;
  std::int64_t first_matrix;
};

void multiply_transposed_by_vector(const TransposedByVectorArgs& args, WorkRange items) {
  for (std::int64_t i = items.begin; i < items.end; ++i) {
    const std::int64_t v = args.first_matrix + i;
    const WorkRange rows = rows_inside(args.op->matrix_rows, v, args.entry);
    if (rows.begin >= rows.end) continue;
    const MatrixRows& of = args.op->matrix_rows;
    const std::int64_t first = of.first + v * of.stride + rows.begin - args.entry.first_row;
    MatMulTransposedArgs product = args.product;
    product.weights += first * product.row_bytes;
    product.n_in = rows.end - rows.begin;
    product.x += v * args.op->in.vector_stride + rows.begin;
    product.out += v * args.op->out.vector_stride;
    product.accumulate = rows.begin > 0;
    args.function(product, {0, product.n_out});
  }
}

}  // namespace

void OpRunner::route(const GraphOp& op, const std::byte* weights) {
  const ExpertSpec& experts = parts_.spec.experts;
  const RoutingLayout& routing = layout().routing;
  ChooseExpertsArgs args;
  args.scores = floats(op.in);
  args.bias = op.weight == kNoTensor ? nullptr : row_of_floats(op, weights);
  args.rows = rows();
  args.n_experts = experts.n_experts;
  args.n_used = experts.n_used;
  args.n_groups = experts.n_groups;
  args.n_groups_used = experts.n_groups_used;
  args.gate = experts.gate;
  args.normalise = experts.normalise;
  args.scale = experts.scale;
  args.experts = table<std::int32_t>(routing.experts_offset);
  args.shares = table<float>(routing.shares_offset);
  backend_.run(backend_.ops.choose_experts, args);
  group_by_expert();
}

// Counting sort of the choices by expert; those of one expert stay in the order of rows.
void OpRunner::group_by_expert() {
  const ExpertSpec& spec = parts_.spec.experts;
  const RoutingLayout& routing = layout().routing;
  const auto* experts = table<std::int32_t>(routing.experts_offset);
  auto* places = table<std::int32_t>(routing.places_offset);
  auto* sources = table<std::int32_t>(routing.sources_offset);
  auto* next = table<std::int32_t>(routing.ends_offset);  // where an expert's next row goes
  const std::int64_t choices = rows() * spec.n_used;
  std::fill_n(next, spec.n_experts, 0);
  for (std::int64_t i = 0; i < choices; ++i) ++next[experts[i]];
  std::int32_t begin = 0;
  for (std::int64_t e = 0; e < spec.n_experts; ++e) begin += std::exchange(next[e], begin);
  for (std::int64_t i = 0; i < choices; ++i) {
    places[i] = next[experts[i]]++;
    sources[places[i]] = static_cast<std::int32_t>(i / spec.n_used);
  }
}

std::int64_t OpRunner::routed_rows(std::int32_t expert) const {
  const WorkRange rows = rows_of_expert(expert);
  return rows.end - rows.begin;
}

void OpRunner::combine_routed(const GraphOp& op) {
  CombineRowsArgs args;
  args.in = floats(op.in);
  args.places = table<std::int32_t>(layout().routing.places_offset);
  args.shares = table<float>(layout().routing.shares_offset);
  args.out = floats(op.out);
  args.in_stride = stride(op.in);
  args.out_stride = stride(op.out);
  args.rows = rows_of(op);
  args.n_used = parts_.spec.experts.n_used;
  args.width = parts_.graph.width_of(op.out);
  backend_.run(backend_.ops.combine_rows, args);
}

void OpRunner::mat_mul_by_vector(const GraphOp& op, const ComputeEntry& entry,
                                 const std::byte* weights) {
  if (op.transposed) return mat_mul_transposed_by_vector(op, entry, weights);
  ByVectorArgs args;
  args.function = mat_mul_function(op);
  args.product = mat_mul_args(op, entry, weights);
  args.op = &op;
  args.entry = entry;
  const BufferKind kind = parts_.graph.buffer(op.in.buffer).kind;
  args.x_vector_bytes = kind == BufferKind::kQ8 ? q8_row_bytes(args.product.n_in)
                        : kind == BufferKind::kBf16
                            ? bf16_row_bytes(args.product.n_in)
                            : op.in.vector_stride * static_cast<std::int64_t>(sizeof(float));
  args.out_vector = op.out.vector_stride;
  const int threads = backend_.team.n_threads();
  backend_.team.run(multiply_by_vector, args, entry.n_rows, op_grain(args.product, threads));
}

void OpRunner::mat_mul_transposed_by_vector(const GraphOp& op, const ComputeEntry& entry,
                                            const std::byte* weights) {
  const WorkRange matrices = matrices_of(op, entry);
  if (matrices.begin >= matrices.end) return;
  const DType type = parts_.tensors.at(op.weight).type;
  TransposedByVectorArgs args;
  args.function = backend_.ops.matmul_transposed[static_cast<std::size_t>(type)];
  args.product = mat_mul_transposed_args(op, entry, weights);
  args.op = &op;
  args.entry = entry;
  args.first_matrix = matrices.begin;
  backend_.team.run(multiply_transposed_by_vector, args, matrices.end - matrices.begin, 1);
}

}  // namespace windlass
