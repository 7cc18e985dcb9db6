// What the micro-benchmarks of CPU ops share: the op table and the team that the environment asks
// for, and floats to work on.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <random>
#include <vector>

#include "cpu_kernels/op_table.h"

namespace windlass {

// WINDLASS_ISA's, or this machine's best.
inline const OpTable& table() {
  const char* name = std::getenv("WINDLASS_ISA");
  static const OpTable& chosen = cpu_op_table(choose_isa(name == nullptr ? "" : name));
  return chosen;
}

// WINDLASS_BENCH_THREADS threads, or all usable cores.
inline Team& team() {
  const char* threads = std::getenv("WINDLASS_BENCH_THREADS");
  static Team instance(threads == nullptr ? usable_cores() : std::atoi(threads));
  return instance;
}

inline std::vector<float> normal_floats(std::int64_t n) {
  std::mt19937 engine(2);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<std::size_t>(n));
  for (float& value : x) value = normal(engine);
  return x;
}

}  // namespace windlass
