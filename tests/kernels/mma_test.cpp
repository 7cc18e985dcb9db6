// The emulated words for tensor cores do what PTX says of the instructions, in plain arithmetic.
#include <cmath>

#include "kernels/mma_words.h"
#include "src/base/half.h"
#include "tests/support/op_data.h"

namespace windlass {
namespace {

using emulation::EmulatedDevice;
using test::at;

std::string failure_of(EmulatedDevice& device) {
  try {
    device.wait();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

// Element (row, column) of A, B and C as PTX numbers the registers of a lane.
struct Place {
  int row, column;
};
Place place_in_a(int lane, int reg, int half) {
  return {lane / 4 + reg % 2 * 8, lane % 4 * 2 + half + reg / 2 * 8};
}
Place place_in_b(int lane, int reg, int half) { return {lane % 4 * 2 + half + reg * 8, lane / 4}; }
Place place_in_c(int lane, int reg) { return {lane / 4 + reg / 2 * 8, lane % 4 * 2 + reg % 2}; }

__global__ void multiply(const std::uint32_t* a, const std::uint32_t* b, float* c) {
  const unsigned lane = threadIdx.x;
  float sums[4];
  for (unsigned i = 0; i < 4; ++i) sums[i] = c[4 * lane + i];
  const std::uint32_t of_a[4] = {a[4 * lane], a[4 * lane + 1], a[4 * lane + 2], a[4 * lane + 3]};
  multiply_halves(sums, of_a, b[2 * lane], b[2 * lane + 1]);
  for (unsigned i = 0; i < 4; ++i) c[4 * lane + i] = sums[i];
}

// Lane l gives the address of row `order[l]` of 32 rows of 8 halves.
__global__ void load(const std::uint16_t* in, const int* order, bool transposed, bool with_barrier,
                     std::uint32_t* out) {
  auto* shared = shared_memory<std::uint16_t>();
  for (unsigned i = 0; i < 8; ++i) shared[8 * threadIdx.x + i] = in[8 * threadIdx.x + i];
  if (with_barrier) __syncwarp();
  std::uint32_t r[4];
  if (transposed) {
    load_tiles_transposed(r, shared + 8 * order[threadIdx.x]);
  } else {
    load_tiles(r, shared + 8 * order[threadIdx.x]);
  }
  for (unsigned i = 0; i < 4; ++i) out[4 * threadIdx.x + i] = r[i];
}

// Two groups of copies: what is there after the first is waited for, and after the second.
__global__ void copy_groups(const float* in, float* out) {
  auto* shared = shared_memory<float>();
  copy_async(shared + 4 * threadIdx.x, in + 4 * threadIdx.x);
  commit_copies();
  copy_async(shared + 128 + 4 * threadIdx.x, in + 128 + 4 * threadIdx.x, threadIdx.x % 2 == 0);
  commit_copies();
  out[threadIdx.x] = shared[4 * threadIdx.x];
  wait_for_copies<1>();
  out[32 + threadIdx.x] = shared[4 * threadIdx.x + 3];
  out[64 + threadIdx.x] = shared[128 + 4 * threadIdx.x];
  wait_for_copies<0>();
  out[96 + threadIdx.x] = shared[128 + 4 * threadIdx.x];
}

__global__ void read_others_copies(const float* in, float* out, bool with_barrier) {
  auto* shared = shared_memory<float>();
  copy_async(shared + 4 * threadIdx.x, in + 4 * threadIdx.x);
  commit_copies();
  wait_for_copies<0>();
  if (with_barrier) __syncthreads();
  out[threadIdx.x] = shared[4 * (blockDim.x - 1 - threadIdx.x)];
}

__global__ void never_wait(const float* in) {
  copy_async(shared_memory<float>() + 4 * threadIdx.x, in);
  commit_copies();
}

__global__ void copy_to(std::int64_t offset, const float* in) {
  copy_async(shared_memory<std::byte>() + offset, in);
  wait_for_copies<0>();
}

__global__ void load_from(std::int64_t offset) {
  std::uint32_t r[4];
  load_tiles(r, shared_memory<std::byte>() + offset);
}

__global__ void multiply_by_some() {
  float c[4] = {};
  const std::uint32_t a[4] = {};
  if (threadIdx.x != 3) multiply_halves(c, a, 0, 0);
}

}  // namespace

TEST_CASE("a product of fragments is the product of the matrices that they hold") {
  test::Random random(1);
  float a[16][16], b[16][8];
  const auto half = [&] { return f32_from_f16(f16_from_f32(random.gauss())); };
  for (auto& row : a) {
    for (float& value : row) value = half();
  }
  for (auto& row : b) {
    for (float& value : row) value = half();
  }
  std::vector<std::uint32_t> of_a(32 * 4), of_b(32 * 2);
  std::vector<float> c = random.gauss_vector(32 * 4);
  std::vector<double> expected(c.begin(), c.end());
  for (int lane = 0; lane < 32; ++lane) {
    for (int reg = 0; reg < 4; ++reg) {
      for (int h = 0; h < 2; ++h) {
        const Place in_a = place_in_a(lane, reg, h), in_b = place_in_b(lane, reg % 2, h);
        const auto bits_of_a = f16_from_f32(a[in_a.row][in_a.column]);
        of_a[at(4 * lane + reg)] |= static_cast<std::uint32_t>(bits_of_a) << (16 * h);
        if (reg >= 2) continue;
        const auto bits_of_b = f16_from_f32(b[in_b.row][in_b.column]);
        of_b[at(2 * lane + reg)] |= static_cast<std::uint32_t>(bits_of_b) << (16 * h);
      }
      const Place in_c = place_in_c(lane, reg);
      for (int k = 0; k < 16; ++k) {
        expected[at(4 * lane + reg)] += static_cast<double>(a[in_c.row][k]) * b[k][in_c.column];
      }
    }
  }
  EmulatedDevice device(1);
  launch(1, 32, 0, device.stream(), multiply, of_a.data(), of_b.data(), c.data());
  device.wait();
  for (std::size_t i = 0; i < c.size(); ++i) CHECK(c[i] == static_cast<float>(expected[i]));
}

TEST_CASE("tiles are loaded by the rows that lanes point to, and as well by columns") {
  std::vector<std::uint16_t> in(32 * 8);
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<std::uint16_t>(i);
  std::vector<int> order(32);
  for (int l = 0; l < 32; ++l) order[at(l)] = l * 5 % 32;
  for (const bool transposed : {false, true}) {
    std::vector<std::uint32_t> out(32 * 4);
    EmulatedDevice device(2);
    launch(1, 32, 512, device.stream(), load, in.data(), order.data(), transposed, true,
           out.data());
    device.wait();
    for (int lane = 0; lane < 32; ++lane) {
      for (int i = 0; i < 4; ++i) {
        for (int h = 0; h < 2; ++h) {
          const int row = transposed ? lane % 4 * 2 + h : lane / 4;
          const int column = transposed ? lane / 4 : lane % 4 * 2 + h;
          const int expected = 8 * order[at(8 * i + row)] + column;
          CHECK(static_cast<int>(out[at(4 * lane + i)] >> (16 * h) & 0xffffu) == expected);
        }
      }
    }
  }
}

TEST_CASE("tiles loaded before the warp's barrier are wrong under most seeds") {
  std::vector<std::uint16_t> in(32 * 8, 7);
  std::vector<int> order(32);
  for (int l = 0; l < 32; ++l) order[at(l)] = (l + 16) % 32;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    std::vector<std::uint32_t> out(32 * 4);
    EmulatedDevice device(seed);
    launch(1, 32, 512, device.stream(), load, in.data(), order.data(), false, false, out.data());
    device.wait();
    CHECK(std::count(out.begin(), out.end(), 0x70007u) < 128);
  }
}

TEST_CASE("copies are there when they have been waited for, group by group, and not before") {
  std::vector<float> in(256), out(128);
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i);
  EmulatedDevice device(3);
  launch(1, 32, 1024, device.stream(), copy_groups, in.data(), out.data());
  device.wait();
  for (std::size_t t = 0; t < 32; ++t) {
    CHECK(std::isnan(out[t]));
    CHECK(out[32 + t] == in[4 * t + 3]);
    CHECK(std::isnan(out[64 + t]));
    CHECK(out[96 + t] == (t % 2 == 0 ? in[128 + 4 * t] : 0.0f));
  }
  int wrong = 0;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    for (const bool with_barrier : {true, false}) {
      EmulatedDevice other(seed);
      launch(1, 64, 1024, other.stream(), read_others_copies, in.data(), out.data(), with_barrier);
      other.wait();
      bool right = true;
      for (std::size_t t = 0; t < 64; ++t) right = right && out[t] == in[4 * (63 - t)];
      if (with_barrier) REQUIRE(right);
      wrong += right ? 0 : 1;
    }
  }
  CHECK(wrong == 8);
}

TEST_CASE("copies that are not waited for, and places that are no shared memory, are errors") {
  std::vector<float> in(8);
  const auto run = [&](auto... what) {
    EmulatedDevice device(4);
    launch(1, 32, 512, device.stream(), what...);
    return failure_of(device);
  };
  CHECK_THAT(run(never_wait, in.data()), Contains("ended before its copies"));
  CHECK_THAT(run(copy_to, std::int64_t{512}, in.data()), Contains("16 bytes at offset 512 of 512"));
  CHECK_THAT(run(copy_to, std::int64_t{8}, in.data()), Contains("offset 8"));
  CHECK_THAT(run(copy_to, std::int64_t{16}, in.data() + 1), Contains("a copy of 16 bytes from"));
  CHECK_THAT(run(load_from, std::int64_t{-16}), Contains("mma_test.cpp") && Contains("offset -16"));
  CHECK_THAT(run(multiply_by_some), Contains("do not meet"));
}

}  // namespace windlass
