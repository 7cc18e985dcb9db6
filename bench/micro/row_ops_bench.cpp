// How fast the ops that work row by row are: norms, RoPE, quantising, activations, sums, routing of
// experts, each at one row and at many, at widths of a small and of a mid-sized model. Run and read
// as cpu_kernels_bench; WINDLASS_ISA picks the table, WINDLASS_BENCH_THREADS the team.
#include <benchmark/benchmark.h>

#include <numeric>
#include <string>
#include <vector>

#include "bench/micro/bench_setup.h"

namespace windlass {
namespace {

constexpr std::int64_t kWidths[] = {576, 4096};
constexpr std::int64_t kRowCounts[] = {1, 16, 512};

// Rows by width, and what an op makes of them.
struct RowData {
  RowData(std::int64_t n_rows, std::int64_t n_columns)
      : rows(n_rows),
        width(n_columns),
        in(normal_floats(rows * width)),
        other(normal_floats(rows * width)),
        out(in.size()) {}
  void count(benchmark::State& state) const {
    state.SetItemsProcessed(state.iterations() * rows * width);
  }
  std::int64_t rows, width;
  std::vector<float> in, other, out;
};

void norm(benchmark::State& state, void (*function)(const NormArgs&, WorkRange), RowData data) {
  const NormArgs args{plain_rows(data.in.data(), data.width),
                      plain_rows(data.out.data(), data.width),
                      data.other.data(),
                      data.rows,
                      1,
                      data.width,
                      1e-5f,
                      0.0f};
  for (auto _ : state) run_op(team(), function, args);
  data.count(state);
}

void quantize(benchmark::State& state, RowData data) {
  std::vector<std::byte> q8(static_cast<std::size_t>(data.rows * q8_row_bytes(data.width)));
  const QuantizeRowsArgs args{data.in.data(), q8.data(), data.rows, data.width};
  for (auto _ : state) run_op(team(), table().quantize_rows, args);
  data.count(state);
}

void rope(benchmark::State& state, bool interleaved, RowData data) {
  constexpr std::int64_t kHeadDim = 64;
  const std::int64_t heads = data.width / kHeadDim;
  RopeArgs args{};
  args.x = {data.in.data(), data.width, heads, 0, kHeadDim};
  args.out = {data.out.data(), data.width, heads, 0, kHeadDim};
  args.cos = data.other.data();
  args.sin = data.other.data() + data.rows * kHeadDim / 2;
  args.tokens = data.rows;
  args.heads = heads;
  args.dims = kHeadDim;
  args.interleaved = interleaved;
  for (auto _ : state) run_op(team(), table().rope, args);
  data.count(state);
}

void activate(benchmark::State& state, Activation activation, RowData data) {
  const ActivateArgs args{data.in.data(), data.other.data(), data.out.data(), data.width,
                          data.width,     data.width,        data.rows,       data.width};
  const auto function = table().activate[static_cast<int>(activation)];
  for (auto _ : state) run_op(team(), function, args);
  data.count(state);
}

void add(benchmark::State& state, RowData data) {
  const AddArgs args{data.in.data(), data.out.data(), data.width,
                     data.width,     data.rows,       data.width};
  for (auto _ : state) run_op(team(), table().add, args);
  data.count(state);
}

// Softmax over the experts, the choice of the best, and what follows it: rows to their experts and
// back.
void choose_experts(benchmark::State& state, std::int64_t n_experts, std::int64_t n_used,
                    std::int64_t rows) {
  const std::vector<float> scores = normal_floats(rows * n_experts);
  std::vector<std::int32_t> experts(static_cast<std::size_t>(rows * n_used));
  std::vector<float> shares(experts.size());
  const ChooseExpertsArgs args{
      scores.data(),        nullptr, rows, n_experts,      n_used,       1, 1,
      ExpertGate::kSoftmax, true,    1.0f, experts.data(), shares.data()};
  for (auto _ : state) run_op(team(), table().choose_experts, args);
  state.SetItemsProcessed(state.iterations() * rows);
}

void gather_and_combine(benchmark::State& state, std::int64_t n_used, RowData data) {
  const std::int64_t routed = data.rows * n_used;
  std::vector<float> rows_of_experts(static_cast<std::size_t>(routed * data.width));
  std::vector<std::int32_t> sources(static_cast<std::size_t>(routed)), places(sources.size());
  for (std::int64_t i = 0; i < routed; ++i)
    sources[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(i / n_used);
  std::iota(places.begin(), places.end(), 0);
  const std::vector<float> shares(sources.size(), 0.5f);
  const GatherRowsArgs gather{data.in.data(), sources.data(), rows_of_experts.data(),
                              data.width,     data.width,     routed,
                              data.width};
  const CombineRowsArgs combine{rows_of_experts.data(),
                                places.data(),
                                shares.data(),
                                data.out.data(),
                                data.width,
                                data.width,
                                data.rows,
                                n_used,
                                data.width};
  for (auto _ : state) {
    run_op(team(), table().gather_rows, gather);
    run_op(team(), table().combine_rows, combine);
  }
  data.count(state);
}

template <typename Function>
void register_op(const std::string& name, const Function& function) {
  benchmark::RegisterBenchmark(name.c_str(), function)->UseRealTime();
}

void register_row_ops(std::int64_t rows, std::int64_t width) {
  const std::string size =
      std::string("/").append(std::to_string(rows)) + "x" + std::to_string(width);
  const auto add_op = [&](const std::string& name, const auto& function) {
    register_op(name + size,
                [=](benchmark::State& state) { function(state, RowData(rows, width)); });
  };
  add_op("rms_norm",
         [](auto& state, RowData data) { norm(state, table().rms_norm, std::move(data)); });
  add_op("layer_norm",
         [](auto& state, RowData data) { norm(state, table().layer_norm, std::move(data)); });
  add_op("quantize_rows", quantize);
  add_op("rope", [](auto& state, RowData data) { rope(state, false, std::move(data)); });
  add_op("rope_interleaved", [](auto& state, RowData data) { rope(state, true, std::move(data)); });
  const std::pair<const char*, Activation> activations[] = {{"silu", Activation::kSilu},
                                                            {"gelu_tanh", Activation::kGeluTanh},
                                                            {"gelu_erf", Activation::kGeluErf},
                                                            {"relu", Activation::kRelu}};
  for (const auto& [name, kind] : activations) {
    const Activation activation = kind;
    add_op(name, [=](auto& state, RowData data) { activate(state, activation, std::move(data)); });
  }
  add_op("add", add);
  add_op("gather_combine_2",
         [](auto& state, RowData data) { gather_and_combine(state, 2, std::move(data)); });
}

void register_all() {
  for (const std::int64_t rows : kRowCounts) {
    for (const std::int64_t width : kWidths) register_row_ops(rows, width);
    for (const auto& [n_experts, n_used] : {std::pair{8, 2}, std::pair{128, 8}}) {
      const std::int64_t experts = n_experts, used = n_used;
      register_op("choose_experts/" + std::to_string(rows) + "x" + std::to_string(experts) + "/" +
                      std::to_string(used),
                  [=](benchmark::State& state) { choose_experts(state, experts, used, rows); });
    }
  }
}

}  // namespace
}  // namespace windlass

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  windlass::register_all();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
