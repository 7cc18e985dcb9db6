// The tile registers of AMX in plain C++, as the instruction set reference defines them, for
// machines that lack them; and a plain vector layer of 16 lanes to go with them.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "cpu_kernels/simd_scalar.h"
#include "cpu_kernels/tiles_amx.h"
#include "src/base/check.h"
#include "src/base/half.h"

namespace windlass::test {

// Checks what the CPU would fault on: tiles that are not configured, and shapes that do not meet.
class EmulatedTiles {
 public:
  void configure(const TileConfig& config) {
    WINDLASS_CHECK(config.palette == 1);
    for (std::size_t i = 0; i < tiles_.size(); ++i) {
      WINDLASS_CHECK(config.rows[i] <= 16 && config.row_bytes[i] <= 64, i);
      tiles_[i] = {config.rows[i], config.row_bytes[i], {}};
    }
  }
  template <int kTile>
  void zero() {
    std::memset(used(kTile).bytes, 0, sizeof tiles_[0].bytes);
  }
  template <int kTile>
  void load(const void* from, std::int64_t stride_bytes) {
    zero<kTile>();
    Tile& tile = used(kTile);
    for (int m = 0; m < tile.rows; ++m) {
      std::memcpy(tile.bytes[m], static_cast<const std::byte*>(from) + m * stride_bytes,
                  static_cast<std::size_t>(tile.row_bytes));
    }
  }
  template <int kTile>
  void store(void* to, std::int64_t stride_bytes) {
    const Tile& tile = used(kTile);
    for (int m = 0; m < tile.rows; ++m) {
      std::memcpy(static_cast<std::byte*>(to) + m * stride_bytes, tile.bytes[m],
                  static_cast<std::size_t>(tile.row_bytes));
    }
  }
  template <int kSum, int kA, int kB>
  void dot_bytes() {
    Tile& sum = meeting(kSum, kA, kB);
    for (int m = 0; m < sum.rows; ++m) {
      for (int n = 0; n < sum.row_bytes / 4; ++n) {
        auto total = at<std::int32_t>(sum, m, n);
        for (int k = 0; k < used(kA).row_bytes; ++k) {
          total +=
              at<std::int8_t>(used(kA), m, k) * at<std::uint8_t>(used(kB), k / 4, 4 * n + k % 4);
        }
        put(sum, m, n, total);
      }
    }
  }
  template <int kSum, int kA, int kB>
  void dot_pairs() {
    Tile& sum = meeting(kSum, kA, kB);
    for (int m = 0; m < sum.rows; ++m) {
      for (int n = 0; n < sum.row_bytes / 4; ++n) {
        float parts[2] = {};
        for (int k = 0; k < used(kA).row_bytes / 2; ++k) {
          const float a = f32_from_bf16(at<std::uint16_t>(used(kA), m, k));
          const float b = f32_from_bf16(at<std::uint16_t>(used(kB), k / 2, 2 * n + k % 2));
          parts[k % 2] = std::fma(a, b, parts[k % 2]);
        }
        put(sum, m, n, at<float>(sum, m, n) + (parts[0] + parts[1]));
      }
    }
  }

 private:
  struct Tile {
    int rows = 0, row_bytes = 0;
    std::byte bytes[16][64] = {};
  };
  Tile& used(int tile) {
    Tile& found = tiles_[static_cast<std::size_t>(tile)];
    WINDLASS_CHECK(found.rows > 0 && found.row_bytes > 0, tile);
    return found;
  }
  Tile& meeting(int sum, int a, int b) {
    WINDLASS_CHECK(used(sum).rows == used(a).rows);
    WINDLASS_CHECK(used(a).row_bytes == 4 * used(b).rows);
    WINDLASS_CHECK(used(sum).row_bytes == used(b).row_bytes);
    return used(sum);
  }
  template <typename T>
  static T at(const Tile& tile, int row, int element) {
    T value;
    std::memcpy(&value, tile.bytes[row] + static_cast<std::size_t>(element) * sizeof value,
                sizeof value);
    return value;
  }
  template <typename T>
  static void put(Tile& tile, int row, int element, T value) {
    std::memcpy(tile.bytes[row] + static_cast<std::size_t>(element) * sizeof value, &value,
                sizeof value);
  }

  std::array<Tile, 8> tiles_;
};

// What the products in tiles use of a vector layer, lane by lane as Scalar does it; byte dots as
// those of AVX-512-VNNI.
struct PlainLanes {
  static constexpr int kLanes = 16, kRowVectors = 2, kTileTokens = 6;
  static constexpr int kZeroPoint8 = 128;
  using F = std::array<float, kLanes>;
  using I = std::array<std::int32_t, kLanes>;
  using B = I;

  template <typename Function, typename... Lanes>
  static auto each(Function function, const Lanes&... lanes) {
    std::array<decltype(function(lanes[0]...)), kLanes> out;
    for (std::size_t i = 0; i < kLanes; ++i) out[i] = function(lanes[i]...);
    return out;
  }
  static F zero() { return {}; }
  static F set1(float value) {
    F all;
    all.fill(value);
    return all;
  }
  static I set1_i(std::int32_t value) {
    I all;
    all.fill(value);
    return all;
  }
  static F load(const float* from) { return load_n(from, kLanes); }
  static F load_n(const float* from, std::int64_t n) {
    F value = {};
    for (std::int64_t i = 0; i < n && i < kLanes; ++i) value[static_cast<std::size_t>(i)] = from[i];
    return value;
  }
  static void store(float* to, const F& value) { store_n(to, value, kLanes); }
  static void store_n(float* to, const F& value, std::int64_t n) {
    for (std::int64_t i = 0; i < n && i < kLanes; ++i) to[i] = value[static_cast<std::size_t>(i)];
  }
  static F add(const F& a, const F& b) { return each(Scalar::add, a, b); }
  static F mul(const F& a, const F& b) { return each(Scalar::mul, a, b); }
  // Fused, as in all layers of more than one lane.
  static F fma(const F& a, const F& b, const F& c) {
    return each([](float x, float y, float z) { return std::fma(x, y, z); }, a, b, c);
  }
  static F from_bits(const I& bits) { return each(Scalar::from_bits, bits); }
  static F to_f32(const I& value) { return each(Scalar::to_f32, value); }
  static I add_i(const I& a, const I& b) { return each(Scalar::add_i, a, b); }
  static I and_i(const I& a, const I& b) { return each(Scalar::and_i, a, b); }
  static I or_i(const I& a, const I& b) { return each(Scalar::or_i, a, b); }
  static I shift_left(const I& value, int n) {
    return each([n](std::int32_t lane) { return Scalar::shift_left(lane, n); }, value);
  }
  static I shift_right(const I& value, int n) {
    return each([n](std::int32_t lane) { return Scalar::shift_right(lane, n); }, value);
  }
  static void load_rows16(const std::uint8_t* const* rows, std::int64_t offset, B* out) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      std::int32_t fours[4];
      Scalar::load_rows16(rows + lane, offset, fours);
      for (int j = 0; j < 4; ++j) out[j][lane] = fours[j];
    }
  }
  static void load_rows32(const std::uint8_t* const* rows, std::int64_t offset, B* out) {
    load_rows16(rows, offset, out);
    load_rows16(rows, offset + 16, out + 4);
  }
  static F load_scales(const std::uint8_t* const* rows, std::int64_t offset) {
    F value;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      value[lane] = Scalar::load_scales(rows + lane, offset);
    }
    return value;
  }
  static I load_dwords(const std::uint8_t* const* rows, std::int64_t offset) {
    I value;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      value[lane] = Scalar::load_dwords(rows + lane, offset);
    }
    return value;
  }
  static F f16_low(const I& value) { return each(Scalar::f16_low, value); }
  static B load_b(const void* from) {
    B value;
    std::memcpy(&value, from, sizeof value);
    return value;
  }
  static void store_b(void* to, const B& value) { std::memcpy(to, &value, sizeof value); }
  static B low_nibbles(const B& value) { return each(Scalar::low_nibbles, value); }
  static B high_nibbles(const B& value) { return each(Scalar::high_nibbles, value); }
  static B prepare8(const B& value) {
    return each([](std::int32_t lane) { return lane ^ static_cast<std::int32_t>(0x80808080u); },
                value);
  }
};

}  // namespace windlass::test
