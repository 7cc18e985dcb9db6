#include "tests/pipeline/header_model.h"

#include <fmt/format.h>

#include "src/format/gguf.h"

namespace windlass::test {
namespace {

// llama.cpp's choice of layers.
bool has_more_bits(std::int64_t layer, std::int64_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

struct Types {
  DType plain, value, down, head;
};

Types types_of(WeightMix mix, bool more_bits) {
  switch (mix) {
    case WeightMix::kQ8:
      return {DType::kQ8_0, DType::kQ8_0, DType::kQ8_0, DType::kQ8_0};
    case WeightMix::kQ4KM:
      return {DType::kQ4_K, more_bits ? DType::kQ6_K : DType::kQ5_K,
              more_bits ? DType::kQ6_K : DType::kQ4_K, DType::kQ6_K};
    case WeightMix::kQ4K:
      break;
  }
  return {DType::kQ4_K, DType::kQ4_K, DType::kQ4_K, DType::kQ4_K};
}

void add_layer(GgufWriter& writer, const LlamaShape& shape, const Types& types,
               std::int64_t layer) {
  const std::int64_t d = shape.d_model, kv = d / shape.heads * shape.kv_heads;
  const auto add = [&](const char* name, DType type, const std::vector<std::int64_t>& extents) {
    writer.add_tensor(fmt::format("blk.{}.{}.weight", layer, name), type, extents);
  };
  add("attn_norm", DType::kF32, {d});
  add("attn_q", types.plain, {d, d});
  add("attn_k", types.plain, {kv, d});
  add("attn_v", types.value, {kv, d});
  add("attn_output", types.plain, {d, d});
  add("ffn_norm", DType::kF32, {d});
  add("ffn_gate", types.plain, {shape.d_ffn, d});
  add("ffn_up", types.plain, {shape.d_ffn, d});
  add("ffn_down", types.down, {d, shape.d_ffn});
}

}  // namespace

Model header_model(const testing::TempDir& folder, const LlamaShape& shape, WeightMix mix) {
  const std::string path = folder.file("header.gguf");
  {
    GgufWriter writer(path);
    const auto u32 = [&](const char* key, std::int64_t value) {
      writer.add_metadata_u32(std::string("llama.") + key, static_cast<std::uint32_t>(value));
    };
    writer.add_metadata("general.architecture", std::string("llama"));
    writer.add_metadata_f32("llama.attention.layer_norm_rms_epsilon", 1e-5F);
    u32("block_count", shape.layers);
    u32("embedding_length", shape.d_model);
    u32("feed_forward_length", shape.d_ffn);
    u32("context_length", 8192);
    u32("attention.head_count", shape.heads);
    u32("attention.head_count_kv", shape.kv_heads);
    const Types whole = types_of(mix, false);
    writer.add_tensor("token_embd.weight", whole.plain, {shape.vocab, shape.d_model});
    for (std::int64_t layer = 0; layer < shape.layers; ++layer)
      add_layer(writer, shape, types_of(mix, has_more_bits(layer, shape.layers)), layer);
    writer.add_tensor("output_norm.weight", DType::kF32, {shape.d_model});
    writer.add_tensor("output.weight", whole.head, {shape.vocab, shape.d_model});
    writer.begin_data();
    writer.skip_data();
    writer.finish();
  }
  return open_model(path);
}

}  // namespace windlass::test
