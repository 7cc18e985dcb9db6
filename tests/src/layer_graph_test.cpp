#include "src/model/layer_graph.h"

#include <algorithm>
#include <map>
#include <set>

#include "src/base/error.h"
#include "src/format/gguf.h"
#include "tests/support/catch.h"
#include "tests/support/tiny_model.h"

namespace windlass {
namespace {

using testing::table_of;
using testing::TinyLlama;
using testing::TinyMixture;

struct Built {
  TensorTable table;
  LayerGraph graph;

  const GraphOp& op(const std::string& label) const {
    for (const GraphOp& candidate : graph.ops) {
      if (candidate.label == label) return candidate;
    }
    FAIL("no op " << label);
    return graph.ops.front();
  }
  const BufferSpec& buffer(const View& view) const {
    return graph.buffers.at(static_cast<std::size_t>(index_of(view.buffer)));
  }
};

Built build(const TinyLlama& model, Activations activations) {
  Built built;
  built.table = table_of(model);
  built.graph = build_layer_graph(read_model_spec(built.table), built.table, activations);
  return built;
}

std::vector<std::string> labels(const LayerGraph& graph) {
  std::vector<std::string> out;
  for (const GraphOp& op : graph.ops) out.push_back(op.label);
  return out;
}

}  // namespace

TEST_CASE("one layer in f32 is the llama block in its order") {
  const Built built = build(TinyLlama(DType::kF32), Activations::kInt8);
  const std::vector<std::string> expected = {
      "token_embd: - - -> residual",
      "blk.0.attn_norm: residual - -> normed",
      "blk.0.attn_q: normed - -> qkv+0",
      "blk.0.attn_k: normed - -> qkv+32",
      "blk.0.attn_v: normed - -> qkv+48",
      "blk.0.rope_q: qkv+0 - -> qkv+0",
      "blk.0.rope_k: qkv+32 - -> qkv+32",
      "blk.0.kv_append: qkv+32 qkv+48 -> -",
      "blk.0.attention: qkv+0 - -> attn_out",
      "blk.0.attn_output: attn_out - -> residual",
      "blk.0.ffn_norm: residual - -> normed",
      "blk.0.ffn_gate: normed - -> gate",
      "blk.0.ffn_up: normed - -> up",
      "blk.0.ffn_act: gate up -> gate",
      "blk.0.ffn_down: gate - -> residual",
      "select_rows: residual - -> head_in",
      "output_norm: head_in - -> head_in",
      "output: head_in - -> logits",
      "logits: logits - -> -",
  };
  std::vector<std::string> found;
  const auto name = [&](const View& view) {
    if (!view.present()) return std::string("-");
    const std::string& buffer = built.buffer(view).name;
    return buffer == "qkv" ? fmt::format("qkv+{}", view.column) : buffer;
  };
  for (const GraphOp& op : built.graph.ops) {
    found.push_back(
        fmt::format("{}: {} {} -> {}", op.label, name(op.in), name(op.in2), name(op.out)));
  }
  CHECK(found == expected);
  for (const GraphOp& op : built.graph.ops) {
    if (op.weight == kNoTensor) continue;
    CHECK(built.table.at(op.weight).name == op.label + ".weight");
  }
}

TEST_CASE("quantised weights get one quantise op for each input that they read") {
  const Built built = build(TinyLlama(DType::kQ4_0), Activations::kInt8);
  std::map<std::string, BufferId> quantised;
  for (const GraphOp& op : built.graph.ops) {
    if (op.kind == OpKind::kQuantizeRows) quantised[op.label] = op.out.buffer;
  }
  REQUIRE(quantised.size() == 5);
  CHECK(built.op("blk.0.attn_q").in.buffer == quantised.at("blk.0.attn_norm_q8"));
  CHECK(built.op("blk.0.attn_v").in.buffer == quantised.at("blk.0.attn_norm_q8"));
  CHECK(built.op("blk.0.attn_output").in.buffer == quantised.at("blk.0.attn_out_q8"));
  CHECK(built.op("blk.0.ffn_gate").in.buffer == quantised.at("blk.0.ffn_norm_q8"));
  CHECK(built.op("blk.0.ffn_down").in.buffer == quantised.at("blk.0.ffn_act_q8"));
  CHECK(built.op("output").in.buffer == quantised.at("output_norm_q8"));
  CHECK(built.buffer({quantised.at("blk.0.ffn_act_q8")}).width == 64);
  CHECK(built.buffer({quantised.at("output_norm_q8")}).rows == RowSet::kLogits);
}

TEST_CASE("exact activations leave no 8-bit buffer") {
  const Built built = build(TinyLlama(DType::kQ8_0), Activations::kExact);
  for (const BufferSpec& buffer : built.graph.buffers) CHECK(buffer.kind == BufferKind::kF32);
  for (const GraphOp& op : built.graph.ops) CHECK(op.kind != OpKind::kQuantizeRows);
}

TEST_CASE("in a group of mixed types each matmul reads the form that its weight wants") {
  TinyLlama model(DType::kQ4_0);
  model.tensor("blk.0.attn_v.weight").type = DType::kF16;
  model.tensor("blk.0.ffn_down.weight").type = DType::kBF16;
  const Built built = build(model, Activations::kInt8);
  CHECK(built.buffer(built.op("blk.0.attn_q").in).kind == BufferKind::kQ8);
  CHECK(built.buffer(built.op("blk.0.attn_v").in).name == "normed");
  CHECK(built.buffer(built.op("blk.0.ffn_down").in).name == "gate");
  const auto names = labels(built.graph);
  CHECK(std::find(names.begin(), names.end(), "blk.0.ffn_act_q8") == names.end());
}

TEST_CASE(
    "BF16 weights read bf16 rows where these are asked for, beside the 8-bit rows of others") {
  TinyLlama model(DType::kQ4_0);
  model.tensor("blk.0.attn_v.weight").type = DType::kBF16;
  const Built built = build(model, Activations::kInt8Bf16);
  const BufferSpec& q8 = built.buffer(built.op("blk.0.attn_q").in);
  const BufferSpec& bf16 = built.buffer(built.op("blk.0.attn_v").in);
  CHECK(q8.kind == BufferKind::kQ8);
  CHECK(bf16.kind == BufferKind::kBf16);
  CHECK(bf16.width == q8.width);
  CHECK(built.op("blk.0.attn_norm_bf16").out.buffer == built.op("blk.0.attn_v").in.buffer);
  CHECK(built.op("blk.0.attn_norm_bf16").in.buffer == built.op("blk.0.attn_norm_q8").in.buffer);
  const auto names = labels(built.graph);
  CHECK(std::find(names.begin(), names.end(), "blk.0.ffn_act_bf16") == names.end());
}

// A matmul that reads an 8-bit buffer must find there the quantised form of its own input, not a
// later overwriting.
TEST_CASE("an 8-bit buffer holds what its readers expect when they run") {
  const Built built = build(TinyLlama(DType::kQ4_1, 3), Activations::kInt8);
  std::map<BufferId, BufferId> quantised_from;
  for (const GraphOp& op : built.graph.ops) {
    if (op.kind == OpKind::kQuantizeRows) quantised_from[op.out.buffer] = op.in.buffer;
    if (op.kind == OpKind::kMatMul && built.buffer(op.in).kind == BufferKind::kQ8) {
      const std::string part = op.label.substr(op.label.rfind('.') + 1);
      const std::string source = built.buffer({quantised_from.at(op.in.buffer)}).name;
      CHECK(source == (part == "attn_output" ? "attn_out"
                       : part == "ffn_down"  ? "gate"
                       : part == "output"    ? "head_in"
                                             : "normed"));
    }
  }
}

TEST_CASE("every op's widths, rows and flags fit together") {
  const Built built = build(TinyLlama(DType::kQ4_0, 2), Activations::kInt8);
  std::set<BufferId> written;
  for (const GraphOp& op : built.graph.ops) {
    INFO(op.label);
    if (op.in.present()) CHECK(written.contains(op.in.buffer));
    if (op.in2.present()) CHECK(written.contains(op.in2.buffer));
    if (op.accumulate) CHECK(written.contains(op.out.buffer));
    if (op.out.present()) written.insert(op.out.buffer);
    CHECK(op.layer == (op.label.starts_with("blk.") ? op.label[4] - '0' : -1));
    if (op.kind == OpKind::kMatMul) {
      const TensorInfo& weight = built.table.at(op.weight);
      CHECK(built.buffer(op.in).width == weight.n_cols());
      CHECK(built.graph.width_of(op.out) == weight.n_rows());
      CHECK(built.buffer(op.in).rows == op.rows);
      CHECK(op.accumulate == (built.buffer(op.out).name == "residual"));
    }
    if (op.kind == OpKind::kRmsNorm) {
      CHECK(built.buffer(op.in).width == built.table.at(op.weight).n_cols());
    }
  }
  CHECK(built.op("blk.1.rope_q").in.vectors == 2);
  CHECK(built.op("blk.1.rope_k").in.vectors == 1);
  CHECK(built.op("blk.1.kv_append").in2.column == 48);
}

TEST_CASE("the head works on the wanted rows and writes logits tile by tile") {
  const Built built = build(TinyLlama(), Activations::kInt8);
  const GraphOp& output = built.op("output");
  CHECK(built.table.at(output.weight).name == "output.weight");
  CHECK(output.rows == RowSet::kLogits);
  const BufferSpec& logits = built.buffer(output.out);
  CHECK(logits.tiled);
  CHECK(logits.width == 8);
  CHECK(logits.rows == RowSet::kLogits);
  CHECK(built.graph.ops.back().kind == OpKind::kEmitLogits);
  CHECK(built.graph.ops.back().in.buffer == output.out.buffer);
  for (const BufferSpec& buffer : built.graph.buffers) {
    CHECK(buffer.tiled == (buffer.name == "logits"));
  }
}

TEST_CASE("without an output matrix the embedding serves as the head") {
  TinyLlama model;
  model.remove("output.weight");
  const Built built = build(model, Activations::kInt8);
  CHECK(built.table.at(built.op("output").weight).name == "token_embd.weight");
  CHECK(built.op("token_embd").weight == built.op("output").weight);
}

namespace {

// The ops of one layer of a golden model, without the names' prefix.
std::vector<std::string> layer_ops(const std::string& name, int layer = 0) {
  const TensorTable table =
      read_gguf(WINDLASS_SOURCE_DIR "/tests/golden/models/" + name + "/model.gguf");
  std::vector<std::string> ops;
  for (const GraphOp& op :
       build_layer_graph(read_model_spec(table), table, Activations::kInt8).ops) {
    if (op.layer == layer) ops.push_back(op.label.substr(6));
  }
  return ops;
}

}  // namespace

TEST_CASE("layers of other architectures have the parts that their descriptions say") {
  const std::vector<std::string> gemma3 = {
      "attn_norm",       "attn_q",      "attn_k",        "attn_v",
      "attn_q_norm",     "attn_k_norm", "rope_q",        "rope_k",
      "kv_append",       "attention",   "attn_output",   "post_attention_norm",
      "attn_output_add", "ffn_norm",    "ffn_gate",      "ffn_up",
      "ffn_act",         "ffn_down",    "post_ffw_norm", "ffn_down_add"};
  CHECK(layer_ops("gemma3") == gemma3);
  const std::vector<std::string> gpt2 = {
      "attn_norm", "attn_norm.bias", "attn_qkv",         "attn_qkv.bias", "kv_append",
      "attention", "attn_output",    "attn_output.bias", "ffn_norm",      "ffn_norm.bias",
      "ffn_up",    "ffn_up.bias",    "ffn_act",          "ffn_down",      "ffn_down.bias"};
  CHECK(layer_ops("gpt2") == gpt2);
  const std::vector<std::string> falcon_new = {
      "attn_norm", "attn_norm.bias", "attn_norm_2", "attn_norm_2.bias", "attn_qkv",
      "rope_q",    "rope_k",         "kv_append",   "attention",        "attn_output",
      "ffn_up",    "ffn_act",        "ffn_down"};
  CHECK(layer_ops("falcon_new") == falcon_new);
  const std::vector<std::string> phi3 = {"attn_norm", "attn_qkv",  "rope_q",      "rope_k",
                                         "kv_append", "attention", "attn_output", "ffn_norm",
                                         "ffn_up",    "ffn_act",   "ffn_down"};
  CHECK(layer_ops("phi3") == phi3);
}

TEST_CASE("a mixture's rows are routed before the shared network and go home after the experts") {
  const std::vector<std::string> mixtral = {
      "attn_norm", "attn_q",        "attn_k",      "attn_v",       "rope_q",        "rope_k",
      "kv_append", "attention",     "attn_output", "ffn_norm",     "ffn_gate_inp",  "route",
      "gather",    "ffn_gate_exps", "ffn_up_exps", "ffn_act_exps", "ffn_down_exps", "combine"};
  CHECK(layer_ops("mixtral") == mixtral);
  const std::vector<std::string> latent = {
      "attn_norm",      "attn_kv_a_mqa", "attn_q_a",    "attn_q_a_norm", "attn_q_b",
      "attn_kv_a_norm", "rope_k",        "attn_k_b",    "rope_q",        "kv_append",
      "attention",      "attn_v_b",      "attn_output", "ffn_norm"};
  std::vector<std::string> dense = latent, routed = latent;
  const std::vector<std::string> plain = {"ffn_gate", "ffn_up", "ffn_act", "ffn_down"};
  dense.insert(dense.end(), plain.begin(), plain.end());
  CHECK(layer_ops("deepseek2", 0) == dense);
  const std::vector<std::string> experts = {"ffn_gate_inp", "route",         "ffn_gate_shexp",
                                            "ffn_up_shexp", "ffn_act_shexp", "ffn_down_shexp",
                                            "gather",       "ffn_gate_exps", "ffn_up_exps",
                                            "ffn_act_exps", "ffn_down_exps", "combine"};
  routed.insert(routed.end(), experts.begin(), experts.end());
  CHECK(layer_ops("deepseek2", 1) == routed);
}

TEST_CASE("experts are matrices of one tensor, or tensors of their own") {
  const TinyMixture stacked;
  const Built one = build(stacked, Activations::kInt8);
  const GraphOp& up = one.op("blk.0.ffn_up_exps");
  CHECK(up.stack == StackKind::kRouted);
  CHECK(up.rows == RowSet::kRouted);
  CHECK(up.n_stacked == 4);
  CHECK(up.n_chosen == 2);
  CHECK(up.stacked.empty());
  CHECK(one.buffer(up.in).kind == BufferKind::kQ8);
  CHECK(one.buffer(up.in).rows == RowSet::kRouted);
  const TensorRows rows = stacked_rows(up, one.table, 3);
  CHECK(rows.tensor == up.weight);
  CHECK(rows.first_row == 3 * 64);
  CHECK(rows.n_rows == 64);
  CHECK(one.op("blk.0.combine").out.buffer == one.op("blk.0.attn_output").out.buffer);

  TinyMixture apart;
  apart.split_experts();
  const Built each = build(apart, Activations::kInt8);
  const GraphOp& down = each.op("blk.0.ffn_down_exps");
  REQUIRE(down.stacked.size() == 4);
  CHECK(down.weight == down.stacked.front());
  CHECK(each.table.at(down.stacked[2]).name == "blk.0.ffn_down.2.weight");
  CHECK(stacked_rows(down, each.table, 2).tensor == down.stacked[2]);
  CHECK(stacked_rows(down, each.table, 2).first_row == 0);
}

TEST_CASE("the bias of choosing experts goes to the routing, not to the scores") {
  TinyMixture model;
  CHECK(build(model, Activations::kInt8).op("blk.0.route").weight == kNoTensor);
  model.tensors.push_back({"blk.0.exp_probs_b.bias", DType::kF32, {4}});
  const Built built = build(model, Activations::kInt8);
  CHECK(built.table.at(built.op("blk.0.route").weight).name == "blk.0.exp_probs_b.bias");
  CHECK(built.op("blk.0.ffn_gate_inp").in.present());
  for (const GraphOp& op : built.graph.ops) CHECK(op.kind != OpKind::kAddBias);
}

namespace {

// The golden deepseek2 with tensors renamed and reshaped: a table without data.
Built rebuilt(const std::map<std::string, std::pair<std::string, std::vector<std::int64_t>>>& parts,
              const std::vector<std::string>& absent) {
  Built built;
  built.table = read_gguf(WINDLASS_SOURCE_DIR "/tests/golden/models/deepseek2/model.gguf");
  std::vector<TensorInfo>& tensors = built.table.tensors;
  std::erase_if(tensors, [&](const TensorInfo& tensor) {
    const std::string part = tensor.name.substr(tensor.name.find('.', 4) + 1);
    return std::find(absent.begin(), absent.end(), part) != absent.end();
  });
  for (TensorInfo& tensor : tensors) {
    if (!tensor.name.starts_with("blk.")) continue;
    const std::size_t part = tensor.name.find('.', 4) + 1;
    const auto found = parts.find(tensor.name.substr(part));
    if (found == parts.end()) continue;
    tensor.name = tensor.name.substr(0, part) + found->second.first;
    tensor.shape = found->second.second;
  }
  built.table.metadata.erase("deepseek2.attention.q_lora_rank");
  built.table.build_index();
  built.graph = build_layer_graph(read_model_spec(built.table), built.table, Activations::kExact);
  return built;
}

}  // namespace

TEST_CASE("latent queries come straight from the residual where a file has no rank for them") {
  const Built built = rebuilt({{"attn_q_b.weight", {"attn_q.weight", {128, 64}}}},
                              {"attn_q_a.weight", "attn_q_a_norm.weight"});
  CHECK(built.buffer(built.op("blk.0.attn_q").in).name == "normed");
  CHECK(built.buffer(built.op("blk.0.attn_q").out).name == "query");
  CHECK(built.op("blk.0.attn_k_b").matrix_rows.count == 32);
  CHECK(!built.op("blk.0.attn_k_b").transposed);
}

TEST_CASE("one tensor of keys' and values' matrices serves both sides of latent attention") {
  const Built built = rebuilt({{"attn_q_b.weight", {"attn_q.weight", {128, 64}}},
                               {"attn_k_b.weight", {"attn_kv_b.weight", {4 * (16 + 16), 32}}}},
                              {"attn_q_a.weight", "attn_q_a_norm.weight", "attn_v_b.weight"});
  const GraphOp &keys = built.op("blk.1.attn_k_b"), &values = built.op("blk.1.attn_v_b");
  CHECK(keys.weight == values.weight);
  CHECK(keys.transposed);
  CHECK(keys.matrix_rows.first == 0);
  CHECK(keys.matrix_rows.stride == 32);
  CHECK(keys.matrix_rows.count == 16);
  CHECK(!values.transposed);
  CHECK(values.matrix_rows.first == 16);
  CHECK(values.matrix_rows.stride == 32);
  CHECK(values.matrix_rows.count == 16);
}

TEST_CASE("a parallel layer's feed-forward part reads the residual as it was before attention") {
  const TensorTable table = read_gguf(WINDLASS_SOURCE_DIR "/tests/golden/models/falcon/model.gguf");
  const LayerGraph graph = build_layer_graph(read_model_spec(table), table, Activations::kExact);
  BufferId normed = kNoBuffer;
  for (const GraphOp& op : graph.ops) {
    if (op.layer != 0) continue;
    if (op.label == "blk.0.attn_norm") normed = op.out.buffer;
    if (op.label == "blk.0.ffn_up") CHECK(op.in.buffer == normed);
    if (op.label == "blk.0.attention") CHECK(op.out.buffer != normed);
  }
}

TEST_CASE("fused qkv by groups is read in place by strides") {
  TensorTable table = read_gguf(WINDLASS_SOURCE_DIR "/tests/golden/models/falcon_new/model.gguf");
  table.conventions.qkv_by_group = true;  // 2 groups of 2 queries, a key and a value of 16
  const LayerGraph graph = build_layer_graph(read_model_spec(table), table, Activations::kExact);
  for (const GraphOp& op : graph.ops) {
    if (op.label != "blk.0.kv_append" && op.label != "blk.0.attention") continue;
    const bool queries = op.kind == OpKind::kAttention;
    CHECK(op.in.group_stride == 64);
    CHECK(op.in.per_group == (queries ? 2 : 1));
    CHECK(op.in.column == (queries ? 0 : 32));
    if (!queries) CHECK(op.in2.column == 48);
  }
}

TEST_CASE("a tensor that went missing after the spec was read is named") {
  TinyLlama model;
  const ModelSpec spec = read_model_spec(table_of(model));
  model.remove("blk.0.ffn_up.weight");
  CHECK_THROWS_WITH(build_layer_graph(spec, table_of(model), Activations::kInt8),
                    Contains("tensor 'blk.0.ffn_up.weight' is missing"));
}

TEST_CASE("products of one input into different places are known to be independent") {
  const Built built = build(TinyLlama(DType::kF32), Activations::kInt8);
  const auto number = [&](const char* label) { return built.op(label).independent; };
  CHECK(number("blk.0.attn_q") >= 0);
  CHECK(number("blk.0.attn_k") == number("blk.0.attn_q"));
  CHECK(number("blk.0.attn_v") == number("blk.0.attn_q"));
  CHECK(number("blk.0.attn_output") > number("blk.0.attn_v"));
  CHECK(number("blk.0.ffn_gate") > number("blk.0.attn_output"));
  CHECK(number("blk.0.ffn_up") == number("blk.0.ffn_gate"));
  CHECK(number("blk.0.ffn_down") > number("blk.0.ffn_up"));
  CHECK(number("output") == -1);  // its tiles leave one by one
  CHECK(number("blk.0.attn_norm") == -1);
}

}  // namespace windlass
