#include "src/model/model_spec.h"

#include <cmath>

#include "src/base/error.h"
#include "tests/support/catch.h"
#include "tests/support/tiny_model.h"

namespace windlass {
namespace {

using testing::table_of;
using testing::TinyLlama;

// The error that a model gets; fails the test when it is accepted or refused by another kind of
// error.
std::string refusal(const TinyLlama& model, ErrorCode code) {
  try {
    read_model_spec(table_of(model));
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  FAIL("accepted");
  return {};
}

}  // namespace

TEST_CASE("the golden llama models have the sizes that their configurations say") {
  const std::string folder = WINDLASS_SOURCE_DIR "/tests/golden/models/";
  const ModelSpec llama = read_model_spec(read_gguf(folder + "llama/model.gguf"));
  CHECK(llama.architecture == "llama");
  CHECK(llama.name == "golden-tiny");
  CHECK(llama.n_layers == 3);
  CHECK(llama.d_model == 64);
  CHECK(llama.d_ffn == 128);
  CHECK(llama.n_heads == 4);
  CHECK(llama.n_kv_heads == 2);
  CHECK(llama.head_dim == 16);
  CHECK(llama.q_dim() == 64);
  CHECK(llama.k_dim() == 32);
  CHECK(llama.v_dim() == 32);
  CHECK(llama.attention_dim() == 64);
  CHECK(llama.attention_scale == 0.25F);
  CHECK(llama.n_vocab == 512);
  CHECK(llama.context_length == 2048);
  CHECK(llama.norm_epsilon == 1e-6F);
  CHECK(llama.rope.dims == 16);
  CHECK(llama.rope.interleaved);
  CHECK(llama.rope.factors.empty());

  const TensorTable table = read_gguf(folder + "llama3_rope/model.gguf");
  const ModelSpec llama3 = read_model_spec(table);
  CHECK(llama3.rope.base == 500000.0);
  CHECK(table.at(llama3.rope.factors.tensor).name == "rope_freqs.weight");
  CHECK(read_model_spec(read_gguf(folder + "llama_quants/Q8_0/model.gguf")).d_model == 256);
}

TEST_CASE("absent metadata take the defaults of the format") {
  TinyLlama model;
  const ModelSpec spec = read_model_spec(table_of(model));
  CHECK(spec.head_dim == 16);
  CHECK(spec.rope.dims == 16);
  CHECK(spec.rope.base == 10000.0);
  CHECK(spec.rope.scaling == RopeScaling::kNone);
  CHECK(spec.rope.original_context == 128);

  model.integers.erase("llama.attention.head_count_kv");
  model.tensor("blk.0.attn_k.weight").shape = {32, 32};
  model.tensor("blk.0.attn_v.weight").shape = {32, 32};
  CHECK(read_model_spec(table_of(model)).n_kv_heads == 2);
}

TEST_CASE("a head size other than width / heads is taken from the metadata") {
  TinyLlama model(DType::kF16);
  model.integers["llama.attention.key_length"] = 24;
  model.integers["llama.rope.dimension_count"] = 8;
  model.tensor("blk.0.attn_q.weight").shape = {48, 32};
  model.tensor("blk.0.attn_k.weight").shape = {24, 32};
  model.tensor("blk.0.attn_v.weight").shape = {24, 32};
  model.tensor("blk.0.attn_output.weight").shape = {32, 48};
  const ModelSpec spec = read_model_spec(table_of(model));
  CHECK(spec.head_dim == 24);
  CHECK(spec.q_dim() == 48);
  CHECK(spec.rope.dims == 8);
  model.integers["llama.attention.value_length"] = 16;
  model.tensor("blk.0.attn_v.weight").shape = {16, 32};
  model.tensor("blk.0.attn_output.weight").shape = {32, 32};
  CHECK(read_model_spec(table_of(model)).value_dim == 16);
}

TEST_CASE("RoPE scaling is read in each of its forms") {
  TinyLlama model;
  model.floats["llama.rope.freq_base"] = 500000.0F;
  model.floats["llama.rope.scaling.factor"] = 4.0F;
  model.integers["llama.rope.scaling.original_context_length"] = 32;
  SECTION("linear") {
    model.strings["llama.rope.scaling.type"] = "linear";
    const RopeSpec rope = read_model_spec(table_of(model)).rope;
    CHECK(rope.scaling == RopeScaling::kLinear);
    CHECK(rope.factor == 4.0);
    CHECK(rope.base == 500000.0);
  }
  SECTION("linear by the old key") {
    model.floats.erase("llama.rope.scaling.factor");
    model.floats["llama.rope.scale_linear"] = 2.0F;
    const RopeSpec rope = read_model_spec(table_of(model)).rope;
    CHECK(rope.scaling == RopeScaling::kLinear);
    CHECK(rope.factor == 2.0);
  }
  SECTION("yarn") {
    model.strings["llama.rope.scaling.type"] = "yarn";
    model.floats["llama.rope.scaling.attn_factor"] = 1.5F;
    model.floats["llama.rope.scaling.yarn_beta_fast"] = 16.0F;
    const RopeSpec rope = read_model_spec(table_of(model)).rope;
    CHECK(rope.scaling == RopeScaling::kYarn);
    CHECK(rope.original_context == 32);
    CHECK(rope.attention_factor == 1.5);
    CHECK(rope.beta_fast == 16.0);
    CHECK(rope.beta_slow == 1.0);
  }
  SECTION("none") {
    model.strings["llama.rope.scaling.type"] = "none";
    CHECK(read_model_spec(table_of(model)).rope.factor == 1.0);
  }
  SECTION("another") {
    model.strings["llama.rope.scaling.type"] = "liner";
    CHECK_THAT(refusal(model, ErrorCode::kUnsupported),
               Contains("'liner' is not supported; supported: none, linear, yarn, longrope; the "
                        "nearest is linear"));
  }
}

TEST_CASE(
    "LongRoPE has a list for either length, and a factor of its own where the file states none") {
  TinyLlama model;
  model.integers["llama.rope.scaling.original_context_length"] = 32;
  model.tensors.push_back({"rope_factors_long.weight", DType::kF32, {8}});
  CHECK_THAT(refusal(model, ErrorCode::kBadFile),
             Contains("'rope_factors_short.weight' is missing"));
  model.tensors.push_back({"rope_factors_short.weight", DType::kF32, {8}});
  const TensorTable table = table_of(model);
  const RopeSpec rope = read_model_spec(table).rope;
  CHECK(rope.scaling == RopeScaling::kLongRope);
  CHECK(std::abs(rope.attention_factor - std::sqrt(1 + std::log(4.0) / std::log(32.0))) < 1e-12);
  CHECK(table.at(rope.factors_for(32).tensor).name == "rope_factors_short.weight");
  CHECK(table.at(rope.factors_for(33).tensor).name == "rope_factors_long.weight");
  model.floats["llama.rope.scaling.attn_factor"] = 1.25F;
  CHECK(read_model_spec(table_of(model)).rope.attention_factor == 1.25);
  model.tensor("rope_factors_long.weight").shape = {16};
  CHECK_THAT(refusal(model, ErrorCode::kBadFile), Contains("'rope_factors_long.weight' has the"));
}

TEST_CASE("a container's conventions change what the same tensors mean") {
  TinyLlama model;
  TensorTable table = table_of(model);
  CHECK(read_model_spec(table).rope.interleaved);
  table.conventions.rope_halves = true;
  table.conventions.norm_offset = 1;
  table.vectors["rope_freqs.weight"] = std::vector<float>(8, 2.0F);
  const ModelSpec spec = read_model_spec(table);
  CHECK(!spec.rope.interleaved);
  CHECK(spec.norm_weight_offset == 1);
  CHECK(spec.rope.factors_for(1000).values.size() == 8);
  table.vectors["rope_freqs.weight"].pop_back();
  CHECK_THROWS_WITH(read_model_spec(table), Contains("7 RoPE factors for the 8 pairs"));
}

TEST_CASE("a stated sliding window hides keys in every layer of a llama") {
  TinyLlama model;
  model.integers["llama.attention.sliding_window"] = 24;
  const ModelSpec spec = read_model_spec(table_of(model));
  CHECK(spec.window_tokens == 24);
  CHECK(spec.windowed(0));
  CHECK(spec.windowed(5));
  model.integers["llama.attention.sliding_window"] = 128;  // no less than the context
  CHECK(!read_model_spec(table_of(model)).windowed(0));
}

TEST_CASE("the golden models' descriptions and keys become the numbers of their configurations") {
  const auto spec_of = [](const std::string& name) {
    return read_model_spec(
        read_gguf(WINDLASS_SOURCE_DIR "/tests/golden/models/" + name + "/model.gguf"));
  };
  const ModelSpec gemma2 = spec_of("gemma2");
  CHECK(gemma2.window_tokens == 24);
  CHECK(gemma2.windowed(0));
  CHECK(!gemma2.windowed(1));
  CHECK(gemma2.attention_soft_cap == 5);
  CHECK(gemma2.logit_soft_cap == 8);
  CHECK(gemma2.embedding_scale == 8);
  CHECK(gemma2.attention_scale == 1 / std::sqrt(32.0F));
  CHECK(!gemma2.window_rope);
  const ModelSpec gemma3 = spec_of("gemma3");
  CHECK(gemma3.windowed(4));
  CHECK(!gemma3.windowed(5));
  CHECK(gemma3.windowed(6));
  CHECK(gemma3.rope.base == 1e6);
  CHECK(gemma3.rope.factor == 8);
  CHECK(gemma3.window_rope.value().base == 1e4);
  CHECK(gemma3.window_rope.value().scaling == RopeScaling::kNone);
  CHECK(spec_of("phi3").rope.dims == 12);
  CHECK(spec_of("phi3").window_tokens == 2047);
  CHECK(spec_of("gpt2").rope.dims == 0);
  CHECK(spec_of("qwen3").q_dim() == 128);
  CHECK(!spec_of("qwen2").rope.interleaved);
}

TEST_CASE("what no description can compute is refused by name") {
  TinyLlama model;
  SECTION("architecture") {
    model.strings["general.architecture"] = "mamba";
    CHECK_THAT(refusal(model, ErrorCode::kUnsupported),
               Contains("architecture 'mamba' is not supported; supported: llama, qwen2, "));
    model.strings["general.architecture"] = "gemma-3";
    CHECK_THAT(refusal(model, ErrorCode::kUnsupported), Contains("the nearest is gemma3"));
  }
  SECTION("heads larger than attention takes") {
    model.integers["llama.attention.key_length"] = 2050;
    CHECK_THAT(refusal(model, ErrorCode::kUnsupported), Contains("heads of 2050 elements"));
  }
  SECTION("heads by layer") {
    model.integers.erase("llama.attention.head_count");
    model.int_arrays["llama.attention.head_count"] = {2};
    CHECK_THAT(refusal(model, ErrorCode::kUnsupported),
               Contains("'llama.attention.head_count' is an array"));
  }
  SECTION("biases") {
    model.tensors.push_back({"blk.0.ffn_up.bias", DType::kF32, {64}});
    CHECK_THAT(refusal(model, ErrorCode::kUnsupported),
               Contains("'blk.0.ffn_up.bias' has no place in a llama model"));
  }
  SECTION("layers past the stated count") {
    model.tensors.push_back({"blk.1.attn_q.weight", DType::kQ4_0, {32, 32}});
    CHECK_THAT(refusal(model, ErrorCode::kUnsupported), Contains("'blk.1.attn_q.weight'"));
  }
  SECTION("weight types") {
    model.tensor("blk.0.ffn_up.weight").type = DType::kQ8_1;
    CHECK_THAT(refusal(model, ErrorCode::kUnsupported),
               Contains("tensor 'blk.0.ffn_up.weight' has the type Q8_1; supported: F32, F16, "
                        "BF16, Q4_0, Q4_1, Q5_0"));
  }
  SECTION("norm types") {
    model.tensor("blk.0.ffn_norm.weight").type = DType::kQ8_0;
    CHECK_THAT(refusal(model, ErrorCode::kUnsupported),
               Contains("'blk.0.ffn_norm.weight' has the type Q8_0; supported for it: F32, F16"));
  }
  SECTION("no tensors") {
    model.tensors.clear();
    CHECK_THAT(refusal(model, ErrorCode::kUnsupported), Contains("vocabulary-only"));
  }
}

TEST_CASE("metadata and tensors that contradict each other are refused") {
  TinyLlama model;
  SECTION("missing tensor") {
    const std::string name = GENERATE("blk.0.attn_norm.weight", "blk.0.ffn_down.weight",
                                      "output_norm.weight", "token_embd.weight");
    model.remove(name);
    CHECK_THAT(refusal(model, ErrorCode::kBadFile), Contains("'" + name + "' is missing"));
  }
  SECTION("transposed tensor") {
    model.tensor("blk.0.ffn_down.weight").shape = {64, 32};
    CHECK_THAT(refusal(model, ErrorCode::kBadFile),
               Contains("'blk.0.ffn_down.weight' has the shape [64, 32], but by the metadata it is "
                        "[32, 64]"));
  }
  SECTION("short output") {
    model.tensor("output.weight").shape = {7, 32};
    CHECK_THAT(refusal(model, ErrorCode::kBadFile), Contains("'output.weight' has the shape"));
  }
  SECTION("wrong frequency factors") {
    model.tensors.push_back({"rope_freqs.weight", DType::kF32, {16}});
    CHECK_THAT(refusal(model, ErrorCode::kBadFile), Contains("'rope_freqs.weight'"));
  }
  SECTION("missing key") {
    const std::string key = GENERATE("llama.block_count", "llama.embedding_length",
                                     "llama.context_length", "llama.attention.head_count");
    model.integers.erase(key);
    CHECK_THAT(refusal(model, ErrorCode::kBadFile), Contains("'" + key + "' is missing"));
  }
  SECTION("missing epsilon") {
    model.floats.clear();
    CHECK_THAT(refusal(model, ErrorCode::kBadFile), Contains("layer_norm_rms_epsilon"));
  }
  SECTION("epsilon that is no number") {
    model.floats["llama.attention.layer_norm_rms_epsilon"] = std::nanf("");
    CHECK_THAT(refusal(model, ErrorCode::kBadFile), Contains("not between 0 and 1"));
  }
  SECTION("heads that do not group") {
    model.integers["llama.attention.head_count"] = 4;
    model.integers["llama.attention.head_count_kv"] = 3;
    CHECK_THAT(refusal(model, ErrorCode::kBadFile), Contains("do not divide into groups"));
  }
  SECTION("width that heads do not divide") {
    model.integers["llama.attention.head_count"] = 3;
    CHECK_THAT(refusal(model, ErrorCode::kBadFile), Contains("does not divide into 3 heads"));
  }
  SECTION("odd rotation") {
    model.integers["llama.rope.dimension_count"] = 15;
    CHECK_THAT(refusal(model, ErrorCode::kBadFile), Contains("not an even number"));
  }
  SECTION("absurd layer count") {
    model.integers["llama.block_count"] = 4000000000U;
    CHECK_THAT(refusal(model, ErrorCode::kBadFile), Contains("outside 1 to 16384"));
  }
}

}  // namespace windlass
