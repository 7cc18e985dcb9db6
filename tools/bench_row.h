// One row of `windlass bench`: llama-bench's fields under their names and in their order (those
// that mean something here), then ours.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "pipeline/speed_case.h"
#include "tools/bench_plan.h"

namespace windlass {

// A JSON object in order of fields; `samples_ns` and `samples_ts` are its only arrays. Of ours:
//   n_seq, isa
//   bytes_per_step   weights and KV that a step moves through memory, once each
//   gb_s, gop_s      at the mean time; 1e9 bytes, 1e9 multiplications and additions
//   dram_gb_s        a plain read of the same memory between the repetitions
//   dram_share       of that, median of the repetitions
//   peak_gop_s       the same work at the rate of multiplications in registers at that moment
//   peak_share
//   outside_kernels  share of the time not in kernels and not waiting for the disk
//   region_overhead  of that share what the regions cost, in which threads work together
//   regions_per_step ops that were cut over the threads
//   disk_bytes_per_step, disk_wait   read in a step; share of the time that ops waited for it
//   predicted_ts     the plan's claim
using BenchRow = nlohmann::ordered_json;

struct BenchRowParts {
  const Model& model;
  const BenchGroup& group;
  const Receipt& receipt;  // of the engine: ISA and threads as they came out
  const SpeedResult& result;
  std::int64_t micro_batch_tokens;
  std::string test_time;  // when it began, as now_text()
};
BenchRow make_bench_row(const BenchRowParts& parts);

std::string now_text();  // "2026-11-23T12:00:00Z"

// The name in the column "test", and what the last line of a table says of the build.
std::string bench_test_name(const BenchRow& row);
std::string build_text();  // "c747f12 (123)"

}  // namespace windlass
