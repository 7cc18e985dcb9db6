// What `windlass bench` runs: all combinations of its flags' lists, in llama-bench's order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/speed_case.h"
#include "tools/options.h"

namespace windlass {

// Tests that one engine runs, one after the other.
struct BenchGroup {
  std::string model;
  Options options;  // of the combination: one value each
  std::int64_t batch_tokens = 0;
  std::vector<SpeedCase> tests;

  std::int64_t n_seq() const { return tests.front().n_seq; }
  std::int64_t context_tokens() const;  // that the longest test needs
};

struct BenchPlan {
  std::vector<BenchGroup> groups;
  std::int64_t n_tests() const;
};

// Error(kUsage) for what is no list of numbers, out of range, or no test at all.
BenchPlan make_bench_plan(const Options& options);

// "512", "1,2,4", "1-4" (1 2 3 4), "128-512+128" (128 256 384 512), "1-16*2" (1 2 4 8 16), in the
// order given. flag: for messages. Error(kUsage) below `least` and for anything else.
std::vector<std::int64_t> parse_number_list(const std::vector<std::string>& values,
                                            const char* flag, std::int64_t least);

}  // namespace windlass
