#include "pipeline/machine_rates.h"

#include <algorithm>
#include <vector>

#include "pipeline/disk_probe.h"
#include "src/base/clock.h"
#include "src/base/units.h"

namespace windlass {
namespace {

constexpr std::size_t kLeastMemory = 64 * kMiB, kMostMemory = 512 * kMiB;
constexpr std::int64_t kRounds = 16;  // of a burst at a time, for each thread: some 3 us each
constexpr double kBurstS = 0.004;     // a few scheduler ticks

struct alignas(64) BurstData {
  std::byte bytes[kBurstBytes];
};

// Rounds of a burst on all threads until kBurstS have passed, the first not counted.
double burst_ops_per_s(Team& team, void (*burst)(const BurstArgs&, WorkRange),
                       const BurstData& data, const std::byte* x, std::int64_t element_bytes) {
  std::vector<float> sums(static_cast<std::size_t>(kRounds * team.n_threads()));
  const BurstArgs args{data.bytes, x, sums.data()};
  const std::int64_t rounds = std::ssize(sums);
  team.run(burst, args, rounds, 4);
  const double begin_s = now_s();
  std::int64_t done = 0;
  do {
    team.run(burst, args, rounds, 4);
    done += rounds;
  } while (now_s() - begin_s < kBurstS);
  return static_cast<double>(done * burst_ops(element_bytes)) / (now_s() - begin_s);
}

double int8_ops_per_s(Team& team, const OpTable& ops) {
  BurstData data;
  std::fill(std::begin(data.bytes), std::end(data.bytes), std::byte{7});
  std::byte x[kBurstTokens * 4];
  std::fill(std::begin(x), std::end(x), std::byte{1});
  return burst_ops_per_s(team, ops.burst_int8, data, x, 1);
}

double f32_ops_per_s(Team& team, const OpTable& ops) {
  BurstData data;
  auto* values = reinterpret_cast<float*>(data.bytes);
  std::fill(values, values + kBurstBytes / sizeof(float), 0.5F);
  float x[kBurstTokens];
  std::fill(std::begin(x), std::end(x), 0.25F);
  return burst_ops_per_s(team, ops.burst_f32, data, reinterpret_cast<const std::byte*>(x),
                         sizeof(float));
}

}  // namespace

MachineRates measure_machine_rates(Team& team, const OpTable& ops,
                                   std::span<const std::byte> memory) {
  MachineRates rates;
  if (memory.size() >= kLeastMemory) {
    const auto part = memory.first(std::min(memory.size(), kMostMemory));
    const double begin_s = now_s();
    read_through(team, part);
    rates.dram_bytes_per_s = static_cast<double>(part.size()) / (now_s() - begin_s);
  }
  rates.int8_ops_per_s = int8_ops_per_s(team, ops);
  rates.f32_ops_per_s = f32_ops_per_s(team, ops);
  return rates;
}

}  // namespace windlass
