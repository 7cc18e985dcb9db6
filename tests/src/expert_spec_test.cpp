// Mixtures of experts and latent attention, from metadata and tensors to numbers; what contradicts
// is refused by name.
#include "src/model/expert_spec.h"

#include <cmath>

#include "src/base/error.h"
#include "src/format/gguf.h"
#include "tests/support/catch.h"
#include "tests/support/tiny_model.h"

namespace windlass {
namespace {

using testing::table_of;
using testing::TinyLlama;
using testing::TinyMixture;

ModelSpec spec_of(const std::string& name) {
  return read_model_spec(
      read_gguf(WINDLASS_SOURCE_DIR "/tests/golden/models/" + name + "/model.gguf"));
}

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

TEST_CASE("the golden mixtures have the experts that their configurations say") {
  const ExpertSpec mixtral = spec_of("mixtral").experts;
  CHECK(mixtral.n_experts == 4);
  CHECK(mixtral.n_used == 2);
  CHECK(mixtral.d_ffn == 64);
  CHECK(mixtral.d_shared == 0);
  CHECK(mixtral.normalise);
  CHECK(mixtral.gate == ExpertGate::kSoftmax);
  const ExpertSpec qwen3 = spec_of("qwen3moe").experts;
  CHECK(qwen3.n_experts == 8);
  CHECK(qwen3.d_ffn == 32);
  CHECK(qwen3.normalise);
  const ModelSpec deepseek = spec_of("deepseek2");
  CHECK(deepseek.experts.d_shared == 32);
  CHECK(!deepseek.experts.normalise);
  CHECK(!deepseek.has_experts(0));
  CHECK(deepseek.has_experts(1));
  CHECK(spec_of("llama").experts.n_experts == 0);
  CHECK(!spec_of("llama").has_experts(0));
}

TEST_CASE("latent attention has one KV head, of the latent and the rotated part") {
  const ModelSpec spec = spec_of("deepseek2");
  REQUIRE(spec.latent.has_value());
  CHECK(spec.latent->q_rank == 32);
  CHECK(spec.latent->kv_rank == 32);
  CHECK(spec.latent->plain_dim == 16);
  CHECK(spec.latent->rotated_dim == 16);
  CHECK(spec.latent->value_dim == 16);
  CHECK(spec.n_kv_heads == 1);
  CHECK(spec.head_dim == 48);
  CHECK(spec.value_dim == 32);
  CHECK(spec.attention_out_dim() == 64);
  CHECK(spec.attention_scale == 1 / std::sqrt(32.0F));
  CHECK(spec.rope.dims == 16);
}

TEST_CASE("files of before 2025 state a head's sizes where later ones state the cache's") {
  TensorTable table = read_gguf(WINDLASS_SOURCE_DIR "/tests/golden/models/deepseek2/model.gguf");
  const ModelSpec later = read_model_spec(table);
  table.metadata.erase("deepseek2.attention.key_length_mla");
  table.metadata.erase("deepseek2.attention.value_length_mla");
  table.metadata["deepseek2.attention.key_length"] = std::int64_t{32};
  table.metadata["deepseek2.attention.value_length"] = std::int64_t{16};
  table.metadata["deepseek2.attention.head_count_kv"] = std::int64_t{4};
  const ModelSpec earlier = read_model_spec(table);
  CHECK(earlier.latent->plain_dim == later.latent->plain_dim);
  CHECK(earlier.latent->value_dim == later.latent->value_dim);
  CHECK(earlier.head_dim == later.head_dim);
  CHECK(earlier.n_kv_heads == 1);
  CHECK(earlier.attention_scale == later.attention_scale);
}

TEST_CASE("how experts are chosen is read from the metadata, whatever the family's default") {
  TinyMixture model;
  CHECK(read_model_spec(table_of(model)).experts.scale == 1);
  model.integers["llama.expert_gating_func"] = 2;
  model.integers["llama.expert_group_count"] = 2;
  model.integers["llama.expert_group_used_count"] = 1;
  model.integers["llama.leading_dense_block_count"] = 0;
  model.floats["llama.expert_weights_scale"] = 2.5F;
  const ExpertSpec spec = read_model_spec(table_of(model)).experts;
  CHECK(spec.gate == ExpertGate::kSigmoid);
  CHECK(spec.n_groups == 2);
  CHECK(spec.n_groups_used == 1);
  CHECK(spec.scale == 2.5F);
  TensorTable table = table_of(model);
  table.metadata["llama.expert_weights_norm"] = false;
  CHECK(!read_model_spec(table).experts.normalise);
}

TEST_CASE("numbers of experts that cannot be are refused by name") {
  TinyMixture model;
  const auto refused = [&](const std::string& key, std::uint32_t value, ErrorCode code) {
    model.integers["llama." + key] = value;
    return refusal(model, code);
  };
  SECTION("more used than there are") {
    CHECK_THAT(refused("expert_used_count", 5, ErrorCode::kBadFile),
               Contains("'llama.expert_used_count' is 5, but there are 4 experts"));
  }
  SECTION("none used") {
    CHECK_THAT(refused("expert_used_count", 0, ErrorCode::kBadFile),
               Contains("llama.expert_used_count"));
  }
  SECTION("not said how many are used") {
    model.integers.erase("llama.expert_used_count");
    CHECK_THAT(refusal(model, ErrorCode::kBadFile),
               Contains("'llama.expert_used_count' is missing"));
  }
  SECTION("too many") {
    CHECK_THAT(refused("expert_count", 2000, ErrorCode::kUnsupported),
               Contains("2000 experts ('llama.expert_count'); at most 1024"));
  }
  SECTION("groups that do not divide") {
    CHECK_THAT(refused("expert_group_count", 3, ErrorCode::kBadFile),
               Contains("4 experts do not divide into 3 groups"));
  }
  SECTION("more groups used than there are") {
    model.integers["llama.expert_group_count"] = 2;
    CHECK_THAT(refused("expert_group_used_count", 3, ErrorCode::kBadFile),
               Contains("'llama.expert_group_used_count' is 3, but there are 2 groups"));
  }
  SECTION("groups too small") {
    model.integers["llama.expert_group_count"] = 4;
    CHECK_THAT(refused("expert_group_used_count", 1, ErrorCode::kBadFile),
               Contains("the groups chosen hold 1 experts"));
  }
  SECTION("an unknown gate") {
    CHECK_THAT(refused("expert_gating_func", 3, ErrorCode::kUnsupported),
               Contains("'llama.expert_gating_func' is 3; supported: 1 (softmax), 2 (sigmoid)"));
  }
  SECTION("a negative scale") {
    model.floats["llama.expert_weights_scale"] = -1;
    CHECK_THAT(refusal(model, ErrorCode::kBadFile), Contains("'llama.expert_weights_scale' is -1"));
  }
}

TEST_CASE("experts in a family that has none are refused by name") {
  TensorTable table = read_gguf(WINDLASS_SOURCE_DIR "/tests/golden/models/qwen3/model.gguf");
  table.metadata["qwen3.expert_count"] = std::int64_t{8};
  CHECK_THROWS_WITH(read_model_spec(table),
                    Contains("a mixture of 8 experts ('qwen3.expert_count') is not supported for "
                             "qwen3"));
}

TEST_CASE("tensors of experts that are missing or of another shape or type are named") {
  TinyMixture model;
  SECTION("stacked ones missing") {
    const std::string name = GENERATE("blk.0.ffn_gate_exps.weight", "blk.0.ffn_down_exps.weight",
                                      "blk.0.ffn_gate_inp.weight");
    model.remove(name);
    CHECK_THAT(refusal(model, ErrorCode::kBadFile), Contains("'" + name + "' is missing"));
  }
  SECTION("one expert too few") {
    model.tensor("blk.0.ffn_up_exps.weight").shape[0] = 3;
    CHECK_THAT(refusal(model, ErrorCode::kBadFile),
               Contains("'blk.0.ffn_up_exps.weight' has the shape [3, 64, 32], but by the metadata "
                        "it is [4, 64, 32]"));
  }
  SECTION("a router of another size") {
    model.tensor("blk.0.ffn_gate_inp.weight").shape[0] = 5;
    CHECK_THAT(refusal(model, ErrorCode::kBadFile), Contains("'blk.0.ffn_gate_inp.weight'"));
  }
  SECTION("one of single ones missing") {
    model.split_experts();
    model.remove("blk.0.ffn_up.2.weight");
    CHECK_THAT(refusal(model, ErrorCode::kBadFile), Contains("'blk.0.ffn_up.2.weight' is missing"));
  }
  SECTION("single ones of several types") {
    model.split_experts();
    model.tensor("blk.0.ffn_up.2.weight").type = DType::kQ8_0;
    CHECK_THAT(refusal(model, ErrorCode::kUnsupported),
               Contains("'blk.0.ffn_up.2.weight' has the type Q8_0, but 'blk.0.ffn_up.0.weight' "
                        "has Q4_0"));
  }
  SECTION("a type without a kernel") {
    model.tensor("blk.0.ffn_up_exps.weight").type = DType::kQ8_1;
    CHECK_THAT(refusal(model, ErrorCode::kUnsupported),
               Contains("'blk.0.ffn_up_exps.weight' has the type Q8_1"));
  }
  SECTION("a dense part beside them") {
    model.tensors.push_back({"blk.0.ffn_up.weight", DType::kQ4_0, {64, 32}});
    CHECK_THAT(refusal(model, ErrorCode::kUnsupported), Contains("'blk.0.ffn_up.weight'"));
  }
}

TEST_CASE("sizes of latent attention that contradict each other are refused by name") {
  const std::string path = WINDLASS_SOURCE_DIR "/tests/golden/models/deepseek2/model.gguf";
  TensorTable table = read_gguf(path);
  const auto set = [&](const char* key, std::int64_t value) {
    table.metadata[std::string("deepseek2.") + key] = value;
  };
  SECTION("all of a head turned") {
    set("attention.key_length_mla", 16);
    CHECK_THROWS_WITH(
        read_model_spec(table),
        Contains("'deepseek2.attention.key_length_mla' is 16, of which RoPE turns 16"));
  }
  SECTION("another rank than the tensors'") {
    set("attention.kv_lora_rank", 24);
    CHECK_THROWS_WITH(read_model_spec(table), Contains("'blk.0.attn_kv_a_mqa.weight'"));
  }
  SECTION("a rank that attention does not take") {
    set("attention.kv_lora_rank", 4000);
    CHECK_THROWS_WITH(read_model_spec(table), Contains("heads of 4016 elements"));
  }
  SECTION("no rank") {
    table.metadata.erase("deepseek2.attention.kv_lora_rank");
    CHECK_THROWS_WITH(read_model_spec(table),
                      Contains("'deepseek2.attention.kv_lora_rank' is missing"));
  }
  SECTION("queries said to come straight from the residual") {
    table.metadata.erase("deepseek2.attention.q_lora_rank");
    CHECK_THROWS_WITH(read_model_spec(table), Contains("'blk.0.attn_q.weight' is missing"));
  }
}

// DeepSeek-V2: factor 40, mscale and mscale_all_dim 0.707; the file has a tenth of that.
TEST_CASE("DeepSeek's YaRN scales the scores and not the rotation") {
  TinyLlama model;
  model.strings["llama.rope.scaling.type"] = "yarn";
  model.floats["llama.rope.scaling.factor"] = 40;
  model.floats["llama.rope.scaling.yarn_log_multiplier"] = 0.0707F;
  const ModelSpec spec = read_model_spec(table_of(model));
  const double mscale = 0.1 * 0.707 * std::log(40.0) + 1.0;
  CHECK(spec.attention_scale == Approx(mscale * mscale / 4.0).epsilon(1e-6));
  CHECK(spec.rope.attention_factor * (0.1 * std::log(40.0) + 1.0) == Approx(1.0).epsilon(1e-12));
}

}  // namespace windlass
