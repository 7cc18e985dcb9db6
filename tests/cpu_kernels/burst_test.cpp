// The bursts do the work that their rate is stated for.
#include <numeric>

#include "tests/cpu_kernels/isa_sweep.h"

using namespace windlass;
using namespace windlass::test;

namespace {

constexpr std::int64_t kRounds = 3;

struct alignas(64) BurstData {
  std::byte bytes[kBurstBytes];
};

std::vector<float> sums_of(void (*burst)(const BurstArgs&, WorkRange), const BurstData& data,
                           const void* x) {
  std::vector<float> sums(kRounds, -1.0f);
  const BurstArgs args{data.bytes, static_cast<const std::byte*>(x), sums.data()};
  burst(args, {0, 1});
  burst(args, {1, kRounds});
  return sums;
}

}  // namespace

TEST_CASE("a burst of integers multiplies every code by every token in every round") {
  Random random(1);
  static BurstData data;
  double code_sum = 0;
  for (std::byte& byte : data.bytes) {
    byte = static_cast<std::byte>(random.below(16));
    code_sum += static_cast<double>(byte);
  }
  std::int8_t x[kBurstTokens][4];
  double token_sum = 0;
  for (auto& token : x) {
    std::fill(std::begin(token), std::end(token), static_cast<std::int8_t>(random.below(17) - 8));
    token_sum += token[0];
  }
  for (const Isa isa : present_isas()) {
    INFO(isa_name(isa));
    for (const float sum : sums_of(cpu_op_table(isa).burst_int8, data, x)) {
      CHECK(sum == static_cast<float>(kBurstPasses * code_sum * token_sum));
    }
  }
}

TEST_CASE("a burst of floats multiplies every value by every token in every round") {
  Random random(2);
  static BurstData data;
  const std::vector<float> values = random.gauss_vector(kBurstBytes / 4);
  std::memcpy(data.bytes, values.data(), kBurstBytes);
  const std::vector<float> x = random.gauss_vector(kBurstTokens);
  const double expected = kBurstPasses * std::accumulate(values.begin(), values.end(), 0.0) *
                          std::accumulate(x.begin(), x.end(), 0.0);
  for (const Isa isa : present_isas()) {
    INFO(isa_name(isa));
    for (const float sum : sums_of(cpu_op_table(isa).burst_f32, data, x.data())) {
      CHECK(std::abs(sum - expected) < 0.1);
    }
  }
}
