#include "kernels/emulation/emulated_mma.h"

#include <fmt/format.h>

#include <cstring>
#include <stdexcept>

namespace windlass {
namespace {

using emulation::LaneWords;

constexpr unsigned kAll = 0xffffffffu;

std::uint64_t join(std::uint32_t low, std::uint32_t high) {
  return low | static_cast<std::uint64_t>(high) << 32;
}

// Register `index` of a lane's words, and half `which` of a pair.
std::uint32_t register_of(const LaneWords& words, int index) {
  return static_cast<std::uint32_t>(words[static_cast<std::size_t>(index / 2)] >> (index % 2 * 32));
}
std::uint16_t half_of(std::uint32_t pair, int which) {
  return static_cast<std::uint16_t>(pair >> (16 * which));
}

// The four tiles' rows: words of lane 8 * i + r are row r of tile i.
const LaneWords* exchange_rows(const void* row, const std::source_location& where) {
  emulation::BlockRunner& block = emulation::this_block();
  block.check_shared(row, 16, where);
  LaneWords words = {};
  std::memcpy(words.data(), row, 16);
  return block.exchange(kAll, words, where);
}

// c += A B, where value_of says what the 16 bits of an element stand for.
template <class ValueOf>
void multiply_pairs(float (&c)[4], const LaneWords& own, ValueOf value_of,
                    const std::source_location& where) {
  const LaneWords* all = emulation::this_block().exchange(kAll, own, where);
  const int g = static_cast<int>(threadIdx.x % 32) / 4, t = static_cast<int>(threadIdx.x % 4);
  float rows[2][16], columns[2][16];  // of A: g and g + 8; of B: 2t and 2t + 1
  for (int k = 0; k < 16; ++k) {
    const int quarter = k % 8 / 2;
    for (int i = 0; i < 2; ++i) {
      const std::uint32_t of_a = register_of(all[4 * g + quarter], k / 8 * 2 + i);
      const std::uint32_t of_b = register_of(all[4 * (2 * t + i) + quarter], 4 + k / 8);
      rows[i][k] = value_of(half_of(of_a, k % 2));
      columns[i][k] = value_of(half_of(of_b, k % 2));
    }
  }
  for (int i = 0; i < 4; ++i) {
    double sum = static_cast<double>(c[i]);
    for (int k = 0; k < 16; ++k) {
      sum += static_cast<double>(rows[i / 2][k]) * static_cast<double>(columns[i % 2][k]);
    }
    c[i] = static_cast<float>(sum);
  }
}

}  // namespace

void multiply_halves(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1,
                     std::source_location where) {
  multiply_pairs(c, {join(a[0], a[1]), join(a[2], a[3]), join(b0, b1)}, f32_from_f16, where);
}

void multiply_bf16(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1,
                   std::source_location where) {
  multiply_pairs(c, {join(a[0], a[1]), join(a[2], a[3]), join(b0, b1)}, f32_from_bf16, where);
}

void multiply_bytes(std::int32_t (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                    std::uint32_t b1, std::source_location where) {
  const LaneWords* all = emulation::this_block().exchange(
      kAll, {join(a[0], a[1]), join(a[2], a[3]), join(b0, b1)}, where);
  const int g = static_cast<int>(threadIdx.x % 32) / 4, t = static_cast<int>(threadIdx.x % 4);
  for (int i = 0; i < 4; ++i) {
    for (int k = 0; k < 8; ++k) {  // fours: row i / 2 of A, column i % 2 of B
      const std::uint32_t of_a = register_of(all[4 * g + k % 4], k / 4 * 2 + i / 2);
      const std::uint32_t of_b = register_of(all[4 * (2 * t + i % 2) + k % 4], 4 + k / 4);
      c[i] = __dp4a(static_cast<int>(of_a), static_cast<int>(of_b), c[i]);
    }
  }
}

void load_tiles(std::uint32_t (&r)[4], const void* row, std::source_location where) {
  const LaneWords* all = exchange_rows(row, where);
  const int g = static_cast<int>(threadIdx.x % 32) / 4, t = static_cast<int>(threadIdx.x % 4);
  for (int i = 0; i < 4; ++i) r[i] = register_of(all[8 * i + g], t);
}

void load_tiles_transposed(std::uint32_t (&r)[4], const void* row, std::source_location where) {
  const LaneWords* all = exchange_rows(row, where);
  const int g = static_cast<int>(threadIdx.x % 32) / 4, t = static_cast<int>(threadIdx.x % 4);
  for (int i = 0; i < 4; ++i) {
    const std::uint16_t low = half_of(register_of(all[8 * i + 2 * t], g / 2), g % 2);
    const std::uint16_t high = half_of(register_of(all[8 * i + 2 * t + 1], g / 2), g % 2);
    r[i] = low | static_cast<std::uint32_t>(high) << 16;
  }
}

void copy_async(void* to, const void* from, bool real, std::source_location where) {
  emulation::BlockRunner& block = emulation::this_block();
  block.check_shared(to, emulation::AsyncCopies::kBytes, where);
  if (real && reinterpret_cast<std::uintptr_t>(from) % 16 != 0) {
    throw std::runtime_error(fmt::format("a copy of 16 bytes from {}", from));
  }
  block.copies().start(static_cast<std::byte*>(to),
                       real ? static_cast<const std::byte*>(from) : nullptr);
}

}  // namespace windlass
