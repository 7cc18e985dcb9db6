// The emulated GPU finds what is wrong with a kernel, and runs what is right.
#include <cmath>

#include "kernels/device_words.h"
#include "kernels/reduce.h"
#include "tests/support/catch.h"

namespace windlass {
namespace {

using emulation::EmulatedDevice;

std::string failure_of(EmulatedDevice& device) {
  try {
    device.wait();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

__global__ void number_threads(float* out) {
  const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
  out[thread] = static_cast<float>(thread) + static_cast<float>(gridDim.x) / 16;
}

__global__ void sum_block(const float* in, float* out) {
  const float sum = block_sum(in[threadIdx.x], shared_memory<float>());
  out[threadIdx.x] = sum;
}

__global__ void reverse(const float* in, float* out, bool with_barrier) {
  auto* shared = shared_memory<float>();
  shared[threadIdx.x] = in[threadIdx.x];
  if (with_barrier) __syncthreads();
  out[threadIdx.x] = shared[blockDim.x - 1 - threadIdx.x];
}

// The second warp has twice as far to its write as the first one to its read.
__global__ void overtake(float* out) {
  auto* shared = shared_memory<float>();
  if (threadIdx.x == 0) shared[0] = 1.0f;
  __syncthreads();
  if (threadIdx.x < 32) {
    for (int i = 0; i < 10; ++i) __shfl_xor_sync(kAllLanes, 1.0f, 1);
    out[threadIdx.x] = shared[0];
  } else {
    for (int i = 0; i < 20; ++i) __shfl_xor_sync(kAllLanes, 1.0f, 1);
    shared[0] = 2.0f;
  }
}

__global__ void leave_early(unsigned threads) {
  if (threadIdx.x < threads) return;
  __syncthreads();
}

__global__ void part_ways() {
  if (threadIdx.x % 2 == 0) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

__global__ void shuffle_some() {
  if (threadIdx.x != 7) __shfl_xor_sync(kAllLanes, 1.0f, 1);
}

__global__ void name_some() { __shfl_xor_sync(1u, 1.0f, 1); }

__global__ void copy_fresh_shared(float* out) {
  out[threadIdx.x] = shared_memory<float>()[threadIdx.x];
}

}  // namespace

TEST_CASE("every thread of every block runs once, when the stream is waited for") {
  EmulatedDevice device(1);
  std::vector<float> out(3 * 64, -1.0f);
  launch(3, 64, 0, device.stream(), number_threads, out.data());
  REQUIRE(out[0] == -1.0f);
  device.wait();
  for (std::size_t i = 0; i < out.size(); ++i) CHECK(out[i] == static_cast<float>(i) + 3.0f / 16);
  out[5] = 0;
  device.wait();
  CHECK(out[5] == 0.0f);
}

TEST_CASE("a block's sum reaches every thread, in any order of threads") {
  std::vector<float> in(256), out(256);
  double sum = 0;
  for (std::size_t i = 0; i < in.size(); ++i) sum += in[i] = std::sin(static_cast<float>(i));
  float first = 0;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    EmulatedDevice device(seed);
    launch(1, 256, 8 * sizeof(float), device.stream(), sum_block, in.data(), out.data());
    device.wait();
    if (seed == 0) first = out[0];
    for (const float value : out) REQUIRE(value == first);
  }
  CHECK(std::abs(first - sum) < 1e-5);
}

TEST_CASE("a missing barrier shows under most seeds, and shared memory begins as NaNs") {
  std::vector<float> in(64), out(64);
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i);
  int wrong = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    for (const bool with_barrier : {true, false}) {
      EmulatedDevice device(seed);
      launch(1, 64, 64 * sizeof(float), device.stream(), reverse, in.data(), out.data(),
             with_barrier);
      device.wait();
      bool right = true;
      for (std::size_t i = 0; i < out.size(); ++i) right = right && out[i] == in[63 - i];
      if (with_barrier) REQUIRE(right);
      wrong += right ? 0 : 1;
    }
  }
  CHECK(wrong == 20);
  EmulatedDevice device(1);
  launch(1, 32, 128, device.stream(), copy_fresh_shared, out.data());
  device.wait();
  for (std::size_t i = 0; i < 32; ++i) CHECK(std::isnan(out[i]));
}

TEST_CASE("under some seeds a warp gets far ahead of another, where no barrier holds it back") {
  int ahead = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    std::vector<float> out(32);
    EmulatedDevice device(seed);
    launch(1, 64, 16, device.stream(), overtake, out.data());
    device.wait();
    ahead += out[0] == 2.0f ? 1 : 0;
  }
  CHECK(ahead > 0);
  CHECK(ahead < 20);
}

TEST_CASE("threads that do not meet are an error that says how many are where") {
  EmulatedDevice device(2);
  launch(1, 64, 0, device.stream(), leave_early, 3u);
  CHECK_THAT(failure_of(device), Contains("threads of block 0 do not meet") &&
                                     Contains("61 are at emulation_test.cpp:") &&
                                     Contains("3 have ended"));
  launch(1, 32, 0, device.stream(), part_ways);
  CHECK_THAT(failure_of(device), Contains("do not meet"));
  launch(1, 64, 0, device.stream(), shuffle_some);
  CHECK_THAT(failure_of(device), Contains("62 are at") || Contains("31 are at"));
  launch(1, 32, 0, device.stream(), name_some);
  CHECK_THAT(failure_of(device), Contains("not all 32 lanes are named"));
  std::vector<float> out(64);  // and the device goes on
  launch(1, 64, 0, device.stream(), number_threads, out.data());
  device.wait();
  CHECK(out[63] == 63.0f + 1.0f / 16);
}

TEST_CASE("a launch that no GPU takes is refused, and one of no blocks does nothing") {
  EmulatedDevice device(3);
  const Stream stream = device.stream();
  float* const none = nullptr;
  launch(0, 64, 0, stream, number_threads, none);
  device.wait();
  CHECK_THROWS_WITH(launch(1, 33, 0, stream, number_threads, none), Contains("33 threads"));
  CHECK_THROWS_WITH(launch(1, 2048, 0, stream, number_threads, none), Contains("2048 threads"));
  CHECK_THROWS_WITH(launch(1, 32, 50'000, stream, number_threads, none), Contains("50000 shared"));
  CHECK_THROWS_WITH(launch(std::int64_t{1} << 31, 32, 0, stream, number_threads, none),
                    Contains("2147483648 blocks"));
}

}  // namespace windlass
