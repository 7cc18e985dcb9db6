// What it costs to cut ops over the threads of a team: an op of no work, and all ops of a decode
// step of SmolLM2-135M cut as they are in a run, doing nothing. A step of 30 layers takes some
// 4 ms on two cores: what `step_of_nothing` takes is lost of it.
#include <benchmark/benchmark.h>
#include <x86intrin.h>

#include <vector>

#include "bench/micro/bench_setup.h"

namespace windlass {
namespace {

constexpr std::int64_t kLayers = 30, kWidth = 576, kFfn = 1536, kKvWidth = 192, kVocab = 49152;
constexpr std::int64_t kHeads = 9, kKvHeads = 3, kHeadDim = 64, kKeys = 256;
constexpr std::int64_t kHeadRowBytes = kWidth / 32 * 34, kRowBytesPer32 = 20;  // Q8_0, Q4_1

template <typename Args>
void nothing(const Args&, WorkRange) {}

template <typename Args>
void run_nothing(const Args& args) {
  run_op(team(), &nothing<Args>, args);
}

MatMulArgs product(std::int64_t n_out, std::int64_t n_in, std::int64_t row_bytes) {
  MatMulArgs args{};
  args.n_out = n_out;
  args.n_in = n_in;
  args.row_bytes = row_bytes;
  args.n_tokens = 1;
  return args;
}

MatMulArgs layer_product(std::int64_t n_out, std::int64_t n_in) {
  return product(n_out, n_in, n_in / 32 * kRowBytesPer32);
}

void row_op(std::int64_t width) {
  NormArgs args{};
  args.rows = args.vectors = 1;
  args.width = width;
  run_nothing(args);
}

void attention_op(const KvSegment& segment) {
  AttentionArgs args{};
  args.segments = &segment;
  args.n_segments = 1;
  args.tokens = 1;
  args.heads = kHeads;
  args.kv_heads = kKvHeads;
  args.key_dim = args.value_dim = kHeadDim;
  run_nothing(args);
}

void layer(const KvSegment& segment) {
  row_op(kWidth);  // norm
  row_op(kWidth);  // quantise
  run_nothing(layer_product(kWidth, kWidth));
  run_nothing(layer_product(kKvWidth, kWidth));
  run_nothing(layer_product(kKvWidth, kWidth));
  for (int i = 0; i < 3; ++i) row_op(kWidth);  // RoPE of Q and K, append to the cache
  attention_op(segment);
  row_op(kWidth);
  run_nothing(layer_product(kWidth, kWidth));
  row_op(kWidth);
  row_op(kWidth);
  run_nothing(layer_product(kFfn, kWidth));
  run_nothing(layer_product(kFfn, kWidth));
  row_op(kFfn);  // activate
  row_op(kFfn);
  run_nothing(layer_product(kWidth, kFfn));
}

void step_of_nothing(benchmark::State& state) {
  KvSegment segment{};
  segment.n_keys = kKeys;
  const std::int64_t before = team().n_regions();
  for (auto _ : state) {
    for (std::int64_t i = 0; i < kLayers; ++i) layer(segment);
    row_op(kWidth);
    row_op(kWidth);
    run_nothing(product(kVocab, kWidth, kHeadRowBytes));
  }
  state.counters["regions"] =
      static_cast<double>(team().n_regions() - before) / static_cast<double>(state.iterations());
}

void empty_op(benchmark::State& state) {
  for (auto _ : state) team().run(&nothing<int>, 0, team().n_threads(), 1);
}

// Each item takes as long, whichever thread has it: what the region takes beyond that is lost.
struct TimedArgs {
  std::uint64_t ticks;
};

void timed(const TimedArgs& args, WorkRange range) {
  const std::uint64_t end =
      __rdtsc() + args.ticks * static_cast<std::uint64_t>(range.end - range.begin);
  while (__rdtsc() < end) {
  }
}

// Regions of so many ticks for each thread, as ops of a decode step are: two chunks a thread.
void short_op(benchmark::State& state) {
  const TimedArgs args{static_cast<std::uint64_t>(state.range(0)) / 2};
  for (auto _ : state) team().run(&timed, args, 2 * team().n_threads(), 1);
}

BENCHMARK(empty_op)->UseRealTime();
BENCHMARK(short_op)->Arg(0)->Arg(2000)->Arg(4000)->Arg(20000)->UseRealTime();
BENCHMARK(step_of_nothing)->UseRealTime();

}  // namespace
}  // namespace windlass

BENCHMARK_MAIN();
