#include "tests/pipeline/small_gguf.h"

#include <fmt/format.h>

#include <cstring>
#include <random>

#include "src/base/check.h"
#include "src/base/half.h"
#include "src/format/gguf.h"

namespace windlass::test {
namespace {

class RandomRows {
 public:
  std::vector<std::byte> tensor(const SmallTensor& tensor) {
    std::int64_t n = 1;
    for (const std::int64_t extent : tensor.shape) n *= extent;
    if (tensor.type == DType::kQ8_0) return q8_0(n);
    WINDLASS_CHECK(tensor.type == DType::kF32, static_cast<int>(tensor.type));
    return tensor.shape.size() == 1 ? f32(n, 1.0F, 0.1F) : f32(n, 0.0F, 0.1F);
  }

 private:
  std::vector<std::byte> f32(std::int64_t n, float mean, float deviation) {
    std::vector<float> values(static_cast<std::size_t>(n));
    std::uniform_real_distribution<float> offset(-deviation, deviation);
    for (float& value : values) value = mean + offset(random_);
    std::vector<std::byte> bytes(values.size() * sizeof(float));
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
  }

  // Blocks of an f16 scale and 32 int8: up to 127 * 2^-10 = 0.12.
  std::vector<std::byte> q8_0(std::int64_t n) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(n / 32 * 34));
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random_() % 255 + 129);
    const std::uint16_t scale = f16_from_f32(1.0F / 1024);
    for (std::size_t i = 0; i < bytes.size(); i += 34) std::memcpy(&bytes[i], &scale, 2);
    return bytes;
  }

  std::mt19937 random_{7};
};

}  // namespace

void write_random_gguf(const std::string& path, const std::vector<SmallTensor>& tensors,
                       const std::vector<std::pair<std::string, std::uint32_t>>& integers) {
  GgufWriter writer(path);
  writer.add_metadata("general.architecture", std::string("llama"));
  writer.add_metadata_f32("llama.attention.layer_norm_rms_epsilon", 1e-5F);
  for (const auto& [key, value] : integers) writer.add_metadata_u32("llama." + key, value);
  for (const SmallTensor& tensor : tensors) {
    writer.add_tensor(tensor.name, tensor.type, tensor.shape);
  }
  writer.begin_data();
  RandomRows random;
  for (const SmallTensor& tensor : tensors) writer.write_data(random.tensor(tensor));
  writer.finish();
}

void write_small_llama(const std::string& path, const SmallLlama& shape) {
  const std::int64_t d = shape.d_model, kv = d / shape.heads * shape.kv_heads;
  std::vector<SmallTensor> tensors = {{"token_embd.weight", shape.type, {shape.vocab, d}}};
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    const auto add = [&](const char* name, DType type, std::vector<std::int64_t> extents) {
      tensors.push_back({fmt::format("blk.{}.{}.weight", layer, name), type, std::move(extents)});
    };
    add("attn_norm", DType::kF32, {d});
    add("attn_q", shape.type, {d, d});
    add("attn_k", shape.type, {kv, d});
    add("attn_v", shape.type, {kv, d});
    add("attn_output", shape.type, {d, d});
    add("ffn_norm", DType::kF32, {d});
    add("ffn_gate", shape.type, {shape.d_ffn, d});
    add("ffn_up", shape.type, {shape.d_ffn, d});
    add("ffn_down", shape.type, {d, shape.d_ffn});
  }
  tensors.push_back({"output_norm.weight", DType::kF32, {d}});
  tensors.push_back({"output.weight", shape.type, {shape.vocab, d}});
  const auto u32 = [](std::int64_t value) { return static_cast<std::uint32_t>(value); };
  write_random_gguf(path, tensors,
                    {{"block_count", u32(shape.layers)},
                     {"embedding_length", u32(d)},
                     {"feed_forward_length", u32(shape.d_ffn)},
                     {"context_length", 2048},
                     {"attention.head_count", u32(shape.heads)},
                     {"attention.head_count_kv", u32(shape.kv_heads)}});
}

}  // namespace windlass::test
