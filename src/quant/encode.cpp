#include "src/quant/encode.h"

#include <array>

#include "src/base/check.h"
#include "src/base/half.h"
#include "src/quant/block_encoders.h"

namespace windlass {
namespace {

using EncodeBlock = void (*)(const float* x, std::uint8_t* out);

void encode_f32(const float* x, std::uint8_t* out) { std::memcpy(out, x, sizeof *x); }
void encode_f16(const float* x, std::uint8_t* out) { quant::store_u16(out, f16_from_f32(*x)); }
void encode_bf16(const float* x, std::uint8_t* out) { quant::store_u16(out, bf16_from_f32(*x)); }

constexpr std::array kTypes = {DType::kF32,    DType::kF16,  DType::kBF16, DType::kQ8_0,
                               DType::kQ4_0,   DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,
                               DType::kIQ4_NL, DType::kQ2_K, DType::kQ3_K, DType::kQ4_K,
                               DType::kQ5_K,   DType::kQ6_K};
constexpr std::array<EncodeBlock, kTypes.size()> kEncoders = {
    encode_f32,           encode_f16,         encode_bf16,        quant::encode_q8_0,
    quant::encode_q4_0,   quant::encode_q4_1, quant::encode_q5_0, quant::encode_q5_1,
    quant::encode_iq4_nl, quant::encode_q2_k, quant::encode_q3_k, quant::encode_q4_k,
    quant::encode_q5_k,   quant::encode_q6_k};

EncodeBlock find_encoder(DType type) {
  for (std::size_t i = 0; i < kTypes.size(); ++i) {
    if (kTypes[i] == type) return kEncoders[i];
  }
  return nullptr;
}

}  // namespace

std::span<const DType> encodable_types() { return kTypes; }

bool can_encode(DType type) { return find_encoder(type) != nullptr; }

void encode_row(DType type, const float* x, std::int64_t n, std::byte* out) {
  const DTypeInfo& info = dtype_info(type);
  const EncodeBlock encode = find_encoder(type);
  WINDLASS_CHECK(encode != nullptr && n % info.block_weights == 0, static_cast<int>(type), n);
  auto* bytes = reinterpret_cast<std::uint8_t*>(out);
  for (std::int64_t i = 0; i < n; i += info.block_weights, bytes += info.block_bytes) {
    encode(x + i, bytes);
  }
}

}  // namespace windlass
