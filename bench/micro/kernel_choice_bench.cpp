// Up to how many tokens products from registers are sooner done than products from a panel, on one
// vector layer; prints its row of cpu_kernels/kernel_choice.h. Compiled once for each layer:
// WINDLASS_LAYER is the layer, WINDLASS_LAYER_HEADER its file. kernel_choice.py runs them all.
#include WINDLASS_LAYER_HEADER

#include <algorithm>
#include <cstdio>
#include <random>
#include <vector>

#include "bench/micro/bench_setup.h"
#include "cpu_kernels/matmul_q8_inl.h"
#include "cpu_kernels/op_table.h"
#include "src/base/clock.h"

namespace windlass {
namespace {

using Layer = WINDLASS_LAYER;
using Function = void (*)(const MatMulArgs&, WorkRange);

// The sums of more tokens fill the registers, and each count is compiled for every type.
constexpr int kMostTokens = 16, kRounds = 5;
constexpr std::int64_t kRows = 2048, kColumns = 3072, kMatrices = 24;

// Matrices that come from memory one after the other, as in a step.
class Product {
 public:
  explicit Product(DType type)
      : row_bytes_(row_bytes(type, kColumns)),
        weights_(static_cast<std::size_t>(kMatrices * kRows * row_bytes_)),
        x_(static_cast<std::size_t>(kMostTokens * q8_row_bytes(kColumns)) + 64),
        out_(static_cast<std::size_t>(kMostTokens * kRows)) {
    std::mt19937_64 random(1);
    for (std::byte& byte : weights_) byte = static_cast<std::byte>(random() & 0x3f);
    const std::vector<float> x = normal_floats(kMostTokens * kColumns);
    cpu_op_table(Isa::kScalar)
        .quantize_rows({x.data(), q8(), kMostTokens, kColumns}, {0, kMostTokens});
  }

  double seconds(Function function, std::int64_t n_tokens) {
    const double begin_s = now_s();
    for (std::int64_t m = 0; m < kMatrices; ++m) {
      run_op(team_, function,
             MatMulArgs{weights_.data() + m * kRows * row_bytes_, row_bytes_, kRows, kColumns, q8(),
                        n_tokens, out_.data(), kRows, false});
    }
    return now_s() - begin_s;
  }

 private:
  // At a whole cache line.
  std::byte* q8() {
    return x_.data() + (64 - reinterpret_cast<std::uintptr_t>(x_.data()) % 64) % 64;
  }

  std::int64_t row_bytes_;
  std::vector<std::byte> weights_, x_;
  std::vector<float> out_;
  Team team_{usable_cores()};
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// The most tokens, of those from 1 on without a gap, that registers serve sooner.
template <DType kType, int kTokens = 2>
int thin_tokens_of(Product& product) {
  if constexpr (kTokens > kMostTokens) {
    return kMostTokens;
  } else {
    std::vector<double> ratios;
    for (int i = 0; i < kRounds; ++i) {
      const double thin_s = product.seconds(&thin_matmul_q8<Layer, kType, kTokens>, kTokens);
      ratios.push_back(thin_s / product.seconds(&panel_matmul_q8<Layer, kType>, kTokens));
    }
    std::fprintf(stderr, "type %d, %d tokens: registers take %.2f of a panel's time\n",
                 static_cast<int>(kType), kTokens, median(ratios));
    if (median(ratios) > 1) return kTokens - 2;
    return thin_tokens_of<kType, kTokens + 2>(product);
  }
}

template <DType kType>
int thin_tokens_of() {
  Product product(kType);
  return thin_tokens_of<kType>(product);
}

}  // namespace
}  // namespace windlass

int main() {
  using namespace windlass;
  const int whole = std::min(thin_tokens_of<DType::kQ4_0>(), thin_tokens_of<DType::kQ4_K>());
  const int halves = thin_tokens_of<DType::kQ6_K>();
  std::printf("{%d, %d}\n", std::max(whole, 1), std::max(halves, 1));
}
