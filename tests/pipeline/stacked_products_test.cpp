// Products of each vector of a row with a matrix of its own: whatever stretches of rows the entries
// are cut into, and wherever in the weight the matrices lie.
#include <algorithm>
#include <cmath>
#include <fstream>

#include "src/format/gguf.h"
#include "tests/pipeline/rig.h"
#include "tests/pipeline/small_gguf.h"
#include "tests/support/catch.h"
#include "tests/support/reference_ops.h"
#include "tests/support/tiny_model.h"

namespace windlass {
namespace {

using namespace windlass::test;
using windlass::testing::TempDir;

constexpr std::int64_t kVectors = 3, kRank = 64, kPlain = 32, kValue = 7, kGap = 3;
constexpr std::int64_t kStride =
    kPlain + kValue;  // of kv_b: rows of a matrix for keys, then one for values
constexpr std::int32_t kEmbed = 0, kQuantize = 1;

enum class Form { kKeys, kValues };

// out[v] = matrix v * in[v], emitted as it is. Keys: rows of the matrix are inputs. Values: from
// f32 or 8-bit rows.
struct StackedModel {
  StackedModel(DType type, Form given, bool int8) : form(given), path(folder.file("stacked.gguf")) {
    const std::int64_t in = form == Form::kKeys ? kPlain : kRank;
    const std::int64_t out = form == Form::kKeys ? kRank : kValue;
    in_width = kVectors * (in + (int8 ? 0 : kGap));
    out_width = kVectors * (out + kGap);
    write_random_gguf(path, {{"embedding", DType::kF32, {16, in_width}},
                             {"weight", type, {kVectors * kStride, kRank}}});
    tensors = read_gguf(path);
    graph.buffers = {{"in", BufferKind::kF32, in_width, RowSet::kTokens, false},
                     {"out", BufferKind::kF32, out_width, RowSet::kTokens, false},
                     {"q8", BufferKind::kQ8, in, RowSet::kTokens, false, kVectors}};
    const View rows{BufferId{0}, 0, in, kVectors, kVectors, 0, in_width / kVectors};
    add(OpKind::kEmbedRows, {}, {.buffer = BufferId{0}}).weight = tensors.find("embedding");
    if (int8) add(OpKind::kQuantizeRows, rows, {.buffer = BufferId{2}});
    GraphOp& product = add(OpKind::kMatMul, int8 ? View{.buffer = BufferId{2}} : rows,
                           {BufferId{1}, 0, out, kVectors, kVectors, 0, out + kGap});
    product.weight = tensors.find("weight");
    product.stack = StackKind::kByVector;
    product.n_stacked = kVectors;
    product.matrix_rows = {form == Form::kKeys ? 0 : kPlain, kStride,
                           form == Form::kKeys ? kPlain : kValue};
    product.transposed = form == Form::kKeys;
    add(OpKind::kEmitLogits, {.buffer = BufferId{1}}, {});
  }
  GraphOp& add(OpKind kind, const View& in, const View& out) {
    GraphOp op;
    op.kind = kind;
    op.in = in;
    op.out = out;
    op.label = op_kind_name(kind);
    graph.ops.push_back(op);
    return graph.ops.back();
  }
  // All rows of a tensor as floats.
  std::vector<float> floats(const char* name) const {
    const TensorInfo& tensor = tensors.at(tensors.find(name));
    std::vector<std::byte> bytes(static_cast<std::size_t>(tensor.extent.size_bytes));
    std::ifstream file(path, std::ios::binary);
    file.seekg(tensor.extent.offset_bytes);
    file.read(reinterpret_cast<char*>(bytes.data()), tensor.extent.size_bytes);
    std::vector<float> values;
    for (std::int64_t row = 0; row < tensor.n_rows(); ++row) {
      const auto part = reference_dequantize(tensor.type, bytes.data() + row * tensor.row_bytes(),
                                             tensor.n_cols());
      values.insert(values.end(), part.begin(), part.end());
    }
    return values;
  }

  Form form;
  TempDir folder;
  std::string path;
  TensorTable tensors;
  ModelSpec spec;
  LayerGraph graph;
  std::int64_t in_width = 0, out_width = 0;
};

// [rows, vectors, n_out]
std::vector<double> reference(const StackedModel& model, const std::vector<std::int32_t>& ids) {
  const std::vector<float> weight = model.floats("weight"), embedding = model.floats("embedding");
  const bool keys = model.form == Form::kKeys;
  const std::int64_t n_in = keys ? kPlain : kRank, n_out = keys ? kRank : kValue;
  std::vector<double> out;
  for (const std::int32_t id : ids) {
    for (std::int64_t v = 0; v < kVectors; ++v) {
      const float* x = embedding.data() + id * model.in_width + v * (model.in_width / kVectors);
      for (std::int64_t r = 0; r < n_out; ++r) {
        double sum = 0;
        for (std::int64_t i = 0; i < n_in; ++i) {
          const std::int64_t row = v * kStride + (keys ? i : kPlain + r), column = keys ? r : i;
          sum += static_cast<double>(weight[static_cast<std::size_t>(row * kRank + column)]) *
                 static_cast<double>(x[i]);
        }
        out.push_back(sum);
      }
    }
  }
  return out;
}

// All products with the weight cut into blocks of about so many bytes, so many blocks an entry.
std::vector<float> play(const StackedModel& model, std::int64_t block_bytes, std::int32_t together,
                        const std::vector<std::int32_t>& ids) {
  const BlockTable blocks(model.tensors, block_bytes);
  const BlockRange all = blocks.of_tensor(model.tensors.find("weight"));
  RigOptions options;
  Placement& placement = options.placement;
  placement.pinned = {{make_run(blocks, all), 0}};
  placement.pinned_bytes = placement.pinned.front().run.aligned.size_bytes;
  Plan plan;
  const auto last = static_cast<std::int32_t>(model.graph.ops.size()) - 1;
  plan.compute.push_back({kEmbed, {}, 0, 0});
  if (last > 2) plan.compute.push_back({kQuantize, {}, 0, 0});
  for (std::int32_t i = 0; i < all.count; i += together) {
    const BlockRange range{BlockId{index_of(all.first) + i}, std::min(together, all.count - i)};
    std::int64_t rows = 0;
    for (std::int32_t b = 0; b < range.count; ++b) {
      rows += blocks.at(BlockId{index_of(range.first) + b}).n_rows;
    }
    plan.compute.push_back({last - 1, range, blocks.at(range.first).first_row, rows});
  }
  plan.compute.push_back({last, {}, 0, model.out_width});
  Rig rig({model.tensors, model.spec, model.graph, blocks}, options);
  const std::vector<Span> spans = {{nullptr, ids, 0, std::ssize(ids)}};
  const std::vector<float> rows = rig.play(plan, spans, model.out_width);
  std::vector<float> vectors;  // without the gaps
  const std::int64_t step = model.out_width / kVectors;
  for (std::int64_t at = 0; at < std::ssize(rows); at += step) {
    vectors.insert(vectors.end(), rows.begin() + at, rows.begin() + at + step - kGap);
  }
  return vectors;
}

void check(const StackedModel& model, double tolerance) {
  const std::vector<std::int32_t> ids = {3, 0, 15, 7, 7};
  const std::vector<double> expected = reference(model, ids);
  const std::vector<float> whole = play(model, 1 << 20, 1, ids);
  REQUIRE(whole.size() == expected.size());
  for (std::size_t i = 0; i < whole.size(); ++i) {
    INFO("element " << i);
    REQUIRE(std::abs(whole[i] - expected[i]) <= tolerance);
  }
  for (const std::int64_t block_bytes : {1, 700, 1500, 4000}) {
    for (const std::int32_t together : {1, 2, 5}) {
      INFO(block_bytes << " bytes, " << together << " blocks an entry");
      REQUIRE(play(model, block_bytes, together, ids) == whole);
    }
  }
}

TEST_CASE("each vector meets its own matrix, however the weight's rows are cut") {
  for (const DType type : {DType::kF32, DType::kQ8_0}) {
    check(StackedModel(type, Form::kValues, false), 1e-5);
    check(StackedModel(type, Form::kKeys, false), 1e-5);
  }
}

TEST_CASE("each vector has an 8-bit form of its own") {
  // Weights and activations of 0.05 on average: 64 products carry 8-bit errors of 2e-3 at most.
  check(StackedModel(DType::kQ8_0, Form::kValues, true), 3e-3);
}

}  // namespace
}  // namespace windlass
