// Quantised weights with q8 activations: the op's rows, and the product of few tokens, by dot
// products of four bytes.
#include "kernels/families.h"
#include "kernels/formats/decoded_types.h"
#include "kernels/matvec.h"
#include "kernels/q8_dot.h"

namespace windlass {
namespace {

template <DType kType>
struct Q8Segment {
  using Type = Decoder<kType>;
  static constexpr int kParts = Type::kWeights / 32;
  static constexpr std::int64_t kWeights = kQ8SegmentBlocks * kQ8Block;
  static constexpr std::int64_t kBytes =
      MatVecShape::kWarpSegments * kWeights / Type::kWeights * Type::kBytes;

  // 32 weights of one row.
  struct Part {
    std::uint32_t codes[8];
    ScaledGroup groups[Type::kGroups];
  };

  static __forceinline__ __device__ Part load(SharedBytes row, int part) {
    const SharedBytes block = row + part / kParts * Type::kBytes;
    Part result;
    const auto put = [&](int j) {
      const CodePair pair = Type::codes(block, part % kParts, j);
      result.codes[j] = pair.low;
      result.codes[4 + j] = pair.high;
    };
    put(0), put(1), put(2), put(3);  // a loop may stay one, for all that is said
    for (int g = 0; g < Type::kGroups; ++g) {
      result.groups[g] = scaled_group(Type::group(block, part % kParts, g));
    }
    return result;
  }

  static __device__ float add_block(float sum, const Part& part, const std::byte* x) {
    const FourWords halves[2] = {q8_codes(x)[0], q8_codes(x)[1]};
    const Q8Scales scales = q8_scales<Type::kHasOffset>(x);
    int dots[2] = {kQ8Magic, kQ8Magic};
    WINDLASS_UNROLL
    for (int j = 0; j < 8; ++j) {
      int& dot = dots[Type::kGroups == 2 ? j / 4 : 0];
      dot = __dp4a(static_cast<int>(part.codes[j]), static_cast<int>(halves[j / 4].words[j % 4]),
                   dot);
    }
    for (int g = 0; g < Type::kGroups; ++g) {
      sum = add_dot<Type::kGroups, Type::kHasOffset>(sum, dots[g], part.groups[g], scales, g);
    }
    return sum;
  }

  static __device__ void add(SharedBytes row, std::int64_t segment, const MatMulArgs& args,
                             float* sums) {
    const std::int64_t first = segment * kQ8SegmentBlocks, left = args.n_in / kQ8Block - first;
    const int blocks = left < kQ8SegmentBlocks ? static_cast<int>(left) : kQ8SegmentBlocks;
    const int first_part =
        static_cast<int>(segment % MatVecShape::kWarpSegments) * kQ8SegmentBlocks;
    const std::byte* x = static_cast<const std::byte*>(args.x) + first * args.x_block_bytes;
    for (int b = 0; b < blocks; ++b, x += args.x_block_bytes) {
      const Part part = load(row, first_part + b);
      WINDLASS_UNROLL
      for (int t = 0; t < kMostVectors; ++t) {
        if (t >= args.n_tokens) break;
        sums[t] = add_block(sums[t], part, x + t * args.x_stride_bytes);
      }
    }
  }
};

template <DType kType>
void matmul_q8(const MatMulArgs& args, DeviceRange rows) {
  const MatMulArgs full = with_q8_strides(args);
  if (args.n_tokens > kMostVectors) return matmul_q8_tiles(kType, full, rows);
  using Type = Decoder<kType>;
  launch_matvec<Q8Segment<kType>>(full, rows, args.n_in / Type::kWeights * Type::kBytes);
}

}  // namespace

void add_matmul_q8(DeviceOpTable* table) {
  Int8Types::for_each(
      [&]<DType kType>() { table->matmul_q8[static_cast<int>(kType)] = matmul_q8<kType>; });
}

}  // namespace windlass
