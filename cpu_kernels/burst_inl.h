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
struct BurstInt8 {
  using Data = typename V::B;
  using Sum = typename V::I;
  static Sum zero() { return V::zero_i(); }
  static Sum add(Sum a, Sum b) { return V::add_i(a, b); }
  static float total(Sum sum) { return static_cast<float>(V::sum_i(sum)); }
  static Data load(const std::byte* from) { return V::load_b(from); }
  static Data broadcast(const std::byte* from) {
    return V::broadcast4(reinterpret_cast<const std::int8_t*>(from));
  }
  static Sum dot(Sum sum, Data data, Data x) { return V::dot7(sum, data, x); }
};

template <class V>
struct BurstF32 {
  using Data = typename V::F;
  using Sum = typename V::F;
  static Sum zero() { return V::zero(); }
  static Sum add(Sum a, Sum b) { return V::add(a, b); }
  static float total(Sum sum) { return V::sum(sum); }
  static Data load(const std::byte* from) { return V::load_raw(from); }
  static Data broadcast(const std::byte* from) {
    return V::set1(*reinterpret_cast<const float*>(from));
  }
  static Sum dot(Sum sum, Data data, Data x) { return V::fma(data, x, sum); }
};

template <class Kind>
inline void burst_pass(const BurstArgs& args,
                       typename Kind::Sum (&sums)[kBurstTokens][kBurstVectors]) {
  using Data = typename Kind::Data;
  asm volatile("" ::: "memory");  // no product may be kept from the pass before
#pragma GCC unroll 32             // g++ 12 copies all sums at the loop's end
  for (std::int64_t i = 0; i < kBurstBytes; i += kBurstVectors * sizeof(Data)) {
    const Data first = Kind::load(args.data + i), second = Kind::load(args.data + i + sizeof(Data));
#pragma GCC unroll 6
    for (int t = 0; t < kBurstTokens; ++t) {
      const Data x = Kind::broadcast(args.x + 4 * t);
      sums[t][0] = Kind::dot(sums[t][0], first, x);
      sums[t][1] = Kind::dot(sums[t][1], second, x);
    }
  }
}

template <class Kind>
inline void burst(const BurstArgs& args, WorkRange range) {
  using Sum = typename Kind::Sum;
  for (std::int64_t round = range.begin; round < range.end; ++round) {
    Sum sums[kBurstTokens][kBurstVectors];
    for (auto& row : sums) row[0] = row[1] = Kind::zero();
    for (std::int64_t pass = 0; pass < kBurstPasses; ++pass) burst_pass<Kind>(args, sums);
    Sum total = Kind::zero();
    for (const auto& row : sums) total = Kind::add(total, Kind::add(row[0], row[1]));
    args.sums[round] = Kind::total(total);
  }
}

}  // namespace
}  // namespace windlass
