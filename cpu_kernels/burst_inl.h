// Bursts of multiplications from cache and registers: what a vector layer's instructions give at
// most, to set a kernel's rate beside. V is a vector layer (simd_*.h). For inclusion by isa_*.cpp
// alone.
#pragma once

#include "cpu_kernels/common_inl.h"

namespace windlass {
namespace {

// Two vectors of data by 6 tokens: 12 sums hide the 4 to 5 cycles of a multiply-add on two ports,
// and with the data and a token they fit the 16 registers of AVX2.
constexpr int kBurstVectors = 2;

template <class V>
inline void burst_pass_int8(const BurstArgs& args,
                            typename V::I (&sums)[kBurstTokens][kBurstVectors]) {
  using B = typename V::B;
  asm volatile("" ::: "memory");  // no product may be kept from the pass before
#pragma GCC unroll 32             // g++ 12 copies all sums at the loop's end
  for (std::int64_t i = 0; i < kBurstBytes; i += kBurstVectors * sizeof(B)) {
    const B first = V::load_b(args.data + i), second = V::load_b(args.data + i + sizeof(B));
#pragma GCC unroll 6
    for (int t = 0; t < kBurstTokens; ++t) {
      const B x = V::broadcast4(reinterpret_cast<const std::int8_t*>(args.x) + 4 * t);
      sums[t][0] = V::dot7(sums[t][0], first, x);
      sums[t][1] = V::dot7(sums[t][1], second, x);
    }
  }
}

template <class V>
inline void burst_int8(const BurstArgs& args, WorkRange range) {
  using I = typename V::I;
  for (std::int64_t round = range.begin; round < range.end; ++round) {
    I sums[kBurstTokens][kBurstVectors];
    for (auto& row : sums) row[0] = row[1] = V::zero_i();
    for (std::int64_t pass = 0; pass < kBurstPasses; ++pass) burst_pass_int8<V>(args, sums);
    I total = V::zero_i();
    for (const auto& row : sums) total = V::add_i(total, V::add_i(row[0], row[1]));
    args.sums[round] = static_cast<float>(V::sum_i(total));
  }
}

template <class V>
inline void burst_pass_f32(const BurstArgs& args,
                           typename V::F (&sums)[kBurstTokens][kBurstVectors]) {
  using F = typename V::F;
  const float* const data = reinterpret_cast<const float*>(args.data);
  const float* const x = reinterpret_cast<const float*>(args.x);
  asm volatile("" ::: "memory");
#pragma GCC unroll 32
  for (std::int64_t i = 0; i < kBurstBytes / 4; i += kBurstVectors * V::kLanes) {
    const F first = V::load(data + i), second = V::load(data + i + V::kLanes);
#pragma GCC unroll 6
    for (int t = 0; t < kBurstTokens; ++t) {
      sums[t][0] = V::fma(first, V::set1(x[t]), sums[t][0]);
      sums[t][1] = V::fma(second, V::set1(x[t]), sums[t][1]);
    }
  }
}

template <class V>
inline void burst_f32(const BurstArgs& args, WorkRange range) {
  using F = typename V::F;
  for (std::int64_t round = range.begin; round < range.end; ++round) {
    F sums[kBurstTokens][kBurstVectors];
    for (auto& row : sums) row[0] = row[1] = V::zero();
    for (std::int64_t pass = 0; pass < kBurstPasses; ++pass) burst_pass_f32<V>(args, sums);
    F total = V::zero();
    for (const auto& row : sums) total = V::add(total, V::add(row[0], row[1]));
    args.sums[round] = V::sum(total);
  }
}

}  // namespace
}  // namespace windlass
