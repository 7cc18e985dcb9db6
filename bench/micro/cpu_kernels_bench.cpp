// How fast the CPU ops run, beside a plain read of memory and a burst of integer dot products at
// the same moment: the machines at hand drift twofold, so only ratios of rows of one run mean
// anything. Run interleaved:
//   cpu_kernels_bench --benchmark_enable_random_interleaving=true --benchmark_repetitions=5
//     --benchmark_report_aggregates_only=true
// WINDLASS_ISA picks the table, WINDLASS_BENCH_THREADS the team (default: all usable cores).
#include <benchmark/benchmark.h>

#include <random>
#include <string>
#include <vector>

#include "bench/micro/bench_setup.h"
#include "src/ops/weight_types.h"

namespace windlass {
namespace {

// More than the caches of the machines at hand keep for one guest: the weights of a step come from
// DRAM.
constexpr std::int64_t kStreamBytes = std::int64_t{512} << 20;

std::vector<std::byte>& stream() {
  static std::vector<std::byte> bytes = [] {
    std::vector<std::byte> random(static_cast<std::size_t>(kStreamBytes));
    std::mt19937_64 engine(1);
    for (std::size_t i = 0; i < random.size(); i += 8) {
      // Exponent bits that make any bytes a sane float, half or bfloat: denormals would change the
      // time.
      const std::uint64_t word = (engine() & 0x8f8f8f8f8f8f8f8fu) | 0x3030303030303030u;
      __builtin_memcpy(random.data() + i, &word, 8);
    }
    return random;
  }();
  return bytes;
}

struct SumArgs {
  const std::byte* bytes;
  std::uint64_t* sink;
};

// Items of 4 KiB, read by words that the compiler makes vectors of.
void sum_pages(const SumArgs& args, WorkRange range) {
  const std::uint64_t* words =
      reinterpret_cast<const std::uint64_t*>(args.bytes + range.begin * 4096);
  std::uint64_t sum[8] = {};
  for (std::int64_t i = 0; i < (range.end - range.begin) * 512; i += 8) {
    for (int k = 0; k < 8; ++k) sum[k] += words[i + k];
  }
  for (const std::uint64_t part : sum) benchmark::DoNotOptimize(*args.sink + part);
}

void plain_stream(benchmark::State& state) {
  std::uint64_t sink = 0;
  const std::byte* bytes = stream().data();
  for (auto _ : state) team().run(&sum_pages, SumArgs{bytes, &sink}, kStreamBytes / 4096, 64);
  state.SetBytesProcessed(state.iterations() * kStreamBytes);
}

// Multiplications from registers: the most that the cores give now.
struct alignas(64) BurstData {
  std::byte bytes[kBurstBytes];
};

void burst(benchmark::State& state, bool int8) {
  BurstData data{}, x{};  // zeros take as long as anything
  std::vector<float> sums(16 * static_cast<std::size_t>(team().n_threads()));
  const BurstArgs args{data.bytes, x.bytes, sums.data()};
  const auto function = int8 ? table().burst_int8 : table().burst_f32;
  for (auto _ : state) team().run(function, args, std::ssize(sums), 4);
  const std::int64_t ops = std::ssize(sums) * burst_ops(int8 ? 1 : 4);
  state.counters["op/s"] =
      benchmark::Counter(static_cast<double>(ops), benchmark::Counter::kIsIterationInvariantRate);
}

// What the activations of a product are.
enum class Form { kF32, kQ8, kBf16 };

// Rows of activations where a run has them: at whole cache lines.
struct Rows {
  std::vector<std::byte> storage;
  std::byte* data;
  Q8Layout layout = {};
};

Rows in_form(Form form, const std::vector<float>& x, std::int64_t n_tokens, std::int64_t n_in) {
  const std::int64_t row = form == Form::kF32  ? 4 * n_in
                           : form == Form::kQ8 ? q8_row_bytes(n_in)
                                               : bf16_row_bytes(n_in);
  const auto bytes = static_cast<std::size_t>(n_tokens * row);
  Rows rows{std::vector<std::byte>(bytes + 64), nullptr, {}};
  const auto address = reinterpret_cast<std::uintptr_t>(rows.storage.data());
  rows.data = rows.storage.data() + (64 - address % 64) % 64;
  if (form == Form::kF32) {
    __builtin_memcpy(rows.data, x.data(), bytes);
  } else {
    if (form == Form::kQ8) rows.layout = q8_layout(n_tokens, n_in);
    const auto round = form == Form::kQ8 ? table().quantize_rows : table().round_rows;
    round({x.data(), rows.data, n_tokens, n_in, 0, rows.layout}, {0, n_tokens});
  }
  return rows;
}

auto mat_mul_function(Form form, DType type) {
  const auto& row = form == Form::kF32  ? table().matmul_f32
                    : form == Form::kQ8 ? table().matmul_q8
                                        : table().matmul_bf16;
  return row[static_cast<int>(type)];
}

// `rows` of n_in weights; `bytes` > 0 walks through that much memory, one matrix after the other,
// else stays on one.
void matmul(benchmark::State& state, DType type, Form form, std::int64_t n_out, std::int64_t n_in,
            std::int64_t n_tokens, bool from_dram) {
  const Rows rows = in_form(form, normal_floats(n_tokens * n_in), n_tokens, n_in);
  std::vector<float> out(static_cast<std::size_t>(n_tokens * n_out));
  const std::int64_t row = row_bytes(type, n_in), matrix = row * n_out;
  const auto function = mat_mul_function(form, type);
  const std::byte* weights = stream().data();
  std::int64_t offset = 0;
  for (auto _ : state) {
    MatMulArgs args = {weights + offset, row,        n_out, n_in, rows.data,
                       n_tokens,         out.data(), n_out, false};
    args.x_stride_bytes = rows.layout.row_bytes;
    args.x_block_bytes = rows.layout.block_bytes;
    run_op(team(), function, args);
    if (from_dram) offset = offset + 2 * matrix > kStreamBytes ? 0 : offset + matrix;
  }
  state.SetBytesProcessed(state.iterations() * matrix);
  state.counters["op/s"] = benchmark::Counter(2.0 * static_cast<double>(n_out * n_in * n_tokens),
                                              benchmark::Counter::kIsIterationInvariantRate);
}

struct AttentionShape {
  const char* name;
  std::int64_t kv_heads, group, head_dim;
};
constexpr AttentionShape kSmallShape = {"9x64", 3, 3, 64}, kLargeShape = {"32x64", 8, 4, 64},
                         kWideShape = {"32x128", 8, 4, 128};

// One layer's attention of the last `tokens` of n_keys.
void attention(benchmark::State& state, const AttentionShape& shape, KvType type,
               std::int64_t tokens, std::int64_t n_keys) {
  const auto [name, kv_heads, group, head_dim] = shape;
  constexpr std::int64_t kPageTokens = 64;
  const std::int64_t heads = kv_heads * group, n_pages = (n_keys + kPageTokens - 1) / kPageTokens;
  const std::int64_t page_bytes = 2 * kv_heads * kPageTokens * kv_bytes(type, head_dim);
  std::vector<std::byte> storage(static_cast<std::size_t>(n_pages * page_bytes));
  std::vector<std::byte*> pages;
  for (std::int64_t p = 0; p < n_pages; ++p) pages.push_back(storage.data() + p * page_bytes);
  std::vector<float> kv = normal_floats(n_keys * kv_heads * head_dim);
  const Vectors keys = {kv.data(), kv_heads * head_dim, 1, head_dim, head_dim};
  table().kv_append({keys,
                     keys,
                     pages.data(),
                     0,
                     n_keys,
                     kv_heads,
                     head_dim,
                     head_dim,
                     kPageTokens,
                     {type, type}},
                    {0, n_keys});
  std::vector<float> q = normal_floats(tokens * heads * head_dim);
  std::vector<float> out(q.size());
  std::vector<std::int32_t> positions;
  for (std::int64_t t = 0; t < tokens; ++t)
    positions.push_back(static_cast<std::int32_t>(n_keys - tokens + t));
  const KvSegment segment = {pages.data(), n_keys, 0, true};
  const Vectors queries = {q.data(), heads * head_dim, heads, 0, head_dim};
  AttentionArgs args = {queries,     out.data(), &segment, 1,        positions.data(),
                        tokens,      heads,      kv_heads, head_dim, head_dim,
                        kPageTokens, 0,          0.125f,   0.0f,     {type, type}};
  const std::int64_t rows = tokens * heads, splits = n_splits(args);
  std::vector<float> partials(static_cast<std::size_t>(splits * rows * partial_floats(head_dim)));
  if (tokens == 1) args.partials = partials.data();
  for (auto _ : state) {
    run_op(team(), table().attention, args);
    if (args.partials == nullptr) continue;
    run_op(team(), table().merge_partials,
           MergePartialsArgs{partials.data(), out.data(), splits, rows, head_dim});
  }
  const double keys_seen = static_cast<double>(n_keys) - 0.5 * static_cast<double>(tokens - 1);
  state.counters["flop/s"] =
      benchmark::Counter(4.0 * keys_seen * static_cast<double>(rows * head_dim),
                         benchmark::Counter::kIsIterationInvariantRate);
  state.SetBytesProcessed(state.iterations() * n_pages * page_bytes);
}

void elementwise(benchmark::State& state, std::int64_t rows) {
  constexpr std::int64_t kWidth = 1536;
  std::vector<float> x = normal_floats(rows * kWidth), y = normal_floats(rows * kWidth),
                     out(x.size());
  std::vector<std::byte> q8(static_cast<std::size_t>(rows * q8_row_bytes(kWidth)));
  for (auto _ : state) {
    run_op(team(), table().rms_norm,
           NormArgs{plain_rows(x.data(), kWidth), plain_rows(out.data(), kWidth), y.data(), rows, 1,
                    kWidth, 1e-5f, 0.0f});
    run_op(team(), table().quantize_rows, QuantizeRowsArgs{out.data(), q8.data(), rows, kWidth});
    run_op(team(), table().activate[static_cast<int>(Activation::kSilu)],
           ActivateArgs{x.data(), y.data(), out.data(), kWidth, kWidth, kWidth, rows, kWidth});
  }
  state.SetItemsProcessed(state.iterations() * rows * kWidth);
}

void nothing(const int&, WorkRange) {}

void empty_op(benchmark::State& state) {
  for (auto _ : state) team().run(&nothing, 0, 2, 1);
}

void register_matmuls() {
  const auto add = [](const std::string& name, DType type, Form form, std::int64_t n_out,
                      std::int64_t n_in, std::int64_t n_tokens, bool from_dram) {
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
      matmul(state, type, form, n_out, n_in, n_tokens, from_dram);
    })->UseRealTime();
  };
  const auto add_floats = [&](const std::string& name, DType type, Form form) {
    add("gemv/dram/" + name + "/2048x3072", type, form, 2048, 3072, 1, true);
    for (const std::int64_t n_tokens : {2, 4, 8, 16, 512}) {
      add("gemm/" + name + "/2048x3072x" + std::to_string(n_tokens), type, form, 2048, 3072,
          n_tokens, true);
    }
  };
  for (const WeightType& row : kWeightTypes) {
    const DType type = row.type;
    const std::string name(dtype_info(type).name);
    if (!row.int8) {
      add_floats(name, type, Form::kF32);
      if (mat_mul_function(Form::kBf16, type) != nullptr) {
        add_floats(name + "_bf16", type, Form::kBf16);
      }
      continue;
    }
    const std::int64_t small = dtype_info(type).block_weights == 256 ? 768 : 576;
    const std::string small_name = name + "/1536x" + std::to_string(small);
    add("gemv/dram/" + name + "/8192x3072", type, Form::kQ8, 8192, 3072, 1, true);
    add("gemv/dram/" + name + "/3072x8192", type, Form::kQ8, 3072, 8192, 1, true);
    add("gemv/dram/" + small_name, type, Form::kQ8, 1536, small, 1, true);
    add("gemv/cached/" + small_name, type, Form::kQ8, 1536, small, 1, false);
    for (const std::int64_t n_tokens : {2, 4, 8, 16, 32, 128, 512}) {
      add("gemm/" + name + "/2048x3072x" + std::to_string(n_tokens), type, Form::kQ8, 2048, 3072,
          n_tokens, true);
    }
    for (const std::int64_t n_tokens : {4, 8, 12, 16}) {
      add("gemm/" + name + "/8192x512x" + std::to_string(n_tokens), type, Form::kQ8, 8192, 512,
          n_tokens, false);
      add("gemm/" + name + "/512x8192x" + std::to_string(n_tokens), type, Form::kQ8, 512, 8192,
          n_tokens, false);
    }
    add("gemm/" + small_name + "x512", type, Form::kQ8, 1536, small, 512, false);
    add("exact/" + name + "/2048x3072x1", type, Form::kF32, 2048, 3072, 1, true);
    add("exact/" + name + "/2048x3072x512", type, Form::kF32, 2048, 3072, 512, true);
  }
}

void register_others() {
  benchmark::RegisterBenchmark("plain_stream", plain_stream)->UseRealTime();
  for (const bool int8 : {true, false}) {
    benchmark::RegisterBenchmark(int8 ? "burst/int8" : "burst/f32", burst, int8)->UseRealTime();
  }
  benchmark::RegisterBenchmark("empty_op", empty_op)->UseRealTime();
  for (const AttentionShape& shape : {kSmallShape, kLargeShape, kWideShape}) {
    for (const KvType type : kKvTypes) {
      const auto add = [&](const std::string& name, std::int64_t tokens, std::int64_t n_keys) {
        benchmark::RegisterBenchmark(
            ("attention/" + name + "/" + shape.name + "/" + kv_type_name(type)).c_str(),
            [=](benchmark::State& state) { attention(state, shape, type, tokens, n_keys); })
            ->UseRealTime();
      };
      for (const std::int64_t n_keys : {64, 512, 8192}) {
        add("decode/" + std::to_string(n_keys), 1, n_keys);
      }
      add("prefill/512", 512, 512);
      add("prefill/512@4096", 512, 4096 + 512);
    }
  }
  for (const std::int64_t rows : {1, 512}) {
    benchmark::RegisterBenchmark(("norm_quantize_swiglu/" + std::to_string(rows)).c_str(),
                                 [=](benchmark::State& state) { elementwise(state, rows); })
        ->UseRealTime();
  }
}

}  // namespace
}  // namespace windlass

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  windlass::register_others();
  windlass::register_matmuls();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
