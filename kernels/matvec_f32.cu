// Weights of every type with float activations: the op's rows, and the product of few tokens.
#include "kernels/families.h"
#include "kernels/formats/decoded_types.h"
#include "kernels/matvec.h"

namespace windlass {
namespace {

template <DType kType>
constexpr std::int64_t bytes_of(std::int64_t weights) {
  if constexpr (kIsFloat<kType>) {
    return weights * Decoder<kType>::kBytes;
  } else {
    return weights / Decoder<kType>::kWeights * Decoder<kType>::kBytes;
  }
}

template <DType kType>
struct FloatSegment {
  static constexpr std::int64_t kWeights = kF32Segment;
  static constexpr int kQuad = MatVecShape::kWarpSegments * kF32Segment;  // weights of a piece
  static constexpr std::int64_t kBytes = bytes_of<kType>(kQuad);

  // Weights [first, first + 32) of the piece, zeros after `count`.
  static __device__ void load(SharedBytes row, int first, std::int64_t count, float* w) {
    if constexpr (kIsFloat<kType>) {
      using Type = Decoder<kType>;
      for (int i = 0; i < 32; ++i) {
        w[i] = i < count ? Type::decode(row + (first + i) * Type::kBytes) : 0.0f;
      }
    } else {
      decode_32<kType>(row, first / 32, w);
    }
  }

  static __device__ void add(SharedBytes row, std::int64_t segment, const MatMulArgs& args,
                             float* sums) {
    const std::int64_t first = segment * kF32Segment;
    const int in_piece = static_cast<int>(first % kQuad);
    for (int i = 0; i < kF32Segment && first + i < args.n_in; i += 32) {
      const std::int64_t count = args.n_in - first - i;
      float w[32];
      load(row, in_piece + i, count, w);
      const auto* x = static_cast<const std::byte*>(args.x) + (first + i) * sizeof(float);
      for (int t = 0; t < kMostVectors; ++t) {
        if (t >= args.n_tokens) continue;
        const auto* of_token = reinterpret_cast<const float*>(x + t * args.x_stride_bytes);
        for (int j = 0; j < 32; ++j) {
          if (!kIsFloat<kType> || j < count) sums[t] = fmaf(w[j], of_token[j], sums[t]);
        }
      }
    }
  }
};

template <DType kType>
void matmul_f32(const MatMulArgs& args, DeviceRange rows) {
  MatMulArgs full = args;
  if (full.x_stride_bytes == 0) {
    full.x_stride_bytes = args.n_in * static_cast<std::int64_t>(sizeof(float));
  }
  if (args.n_tokens > kMostVectors) return matmul_f32_tiles(kType, full, rows);
  launch_matvec<FloatSegment<kType>>(full, rows, bytes_of<kType>(args.n_in));
}

}  // namespace

void add_matmul_f32(DeviceOpTable* table) {
  for_each_decoded_type(
      [&]<DType kType>() { table->matmul_f32[static_cast<int>(kType)] = matmul_f32<kType>; });
}

}  // namespace windlass
