#include "tools/bench_row.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <functional>
#include <map>
#include <numeric>

#include "pipeline/profile.h"
#include "src/base/units.h"

namespace windlass {
namespace {

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// Of a sample; 0 of one value.
double deviation(const std::vector<double>& values) {
  if (values.size() < 2) return 0;
  const double middle = mean(values);
  double sum = 0;
  for (const double value : values) sum += (value - middle) * (value - middle);
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

std::vector<double> of_samples(const SpeedResult& result,
                               const std::function<double(const SpeedSample&)>& figure) {
  std::vector<double> values;
  for (const SpeedSample& sample : result.samples) values.push_back(figure(sample));
  return values;
}

struct ModelSize {
  std::int64_t bytes = 0, weights = 0;
  DType most = DType::kF32;  // type of most weights
};

ModelSize size_of(const Model& model) {
  ModelSize size;
  std::map<DType, std::int64_t> weights_of;
  for (const TensorInfo& tensor : model.tensors.tensors) {
    const std::int64_t weights = tensor.n_rows() * tensor.n_cols();
    size.bytes += tensor.extent.size_bytes;
    size.weights += weights;
    weights_of[tensor.type] += weights;
  }
  for (const auto& [type, weights] : weights_of) {
    if (weights > weights_of[size.most]) size.most = type;
  }
  return size;
}

// "llama 1.2B Q4_0"
std::string type_text(const Model& model, const ModelSize& size) {
  const auto n = static_cast<double>(size.weights);
  return fmt::format("{} {} {}", model.spec.architecture,
                     n < 1e9 ? fmt::format("{:.0f}M", n / 1e6) : fmt::format("{:.1f}B", n / 1e9),
                     dtype_info(size.most).name);
}

void add_setting_fields(BenchRow& row, const BenchRowParts& parts) {
  const ModelSize size = size_of(parts.model);
  const Options& options = parts.group.options;
  row["build_commit"] = WINDLASS_BUILD_COMMIT;
  row["build_number"] = WINDLASS_BUILD_NUMBER;
  row["cpu_info"] = cpu_model_name();
  row["gpu_info"] = parts.receipt.gpu;
  row["backends"] = parts.receipt.gpu.empty() ? "CPU" : "CUDA,CPU";
  row["model_filename"] = parts.model.path;
  row["model_type"] = type_text(parts.model, size);
  row["model_size"] = size.bytes;
  row["model_n_params"] = size.weights;
  row["n_batch"] = parts.group.batch_tokens;
  row["n_ubatch"] = parts.micro_batch_tokens;
  row["n_threads"] = parts.receipt.threads;
  row["type_k"] = options.cache_type_k;
  row["type_v"] = options.cache_type_v;
  row["n_prompt"] = parts.result.test.n_prompt;
  row["n_gen"] = parts.result.test.n_gen;
  row["n_depth"] = parts.result.test.n_depth;
  row["test_time"] = parts.test_time;
}

void add_time_fields(BenchRow& row, const SpeedResult& result) {
  const auto tokens = static_cast<double>(result.test.tokens());
  const std::vector<double> ns =
      of_samples(result, [](const SpeedSample& s) { return s.seconds * 1e9; });
  const std::vector<double> ts =
      of_samples(result, [&](const SpeedSample& s) { return tokens / s.seconds; });
  std::vector<std::int64_t> whole_ns;
  for (const double value : ns) whole_ns.push_back(std::llround(value));
  row["avg_ns"] = std::llround(mean(ns));
  row["stddev_ns"] = std::llround(deviation(ns));
  row["avg_ts"] = mean(ts);
  row["stddev_ts"] = deviation(ts);
  row["samples_ns"] = whole_ns;
  row["samples_ts"] = ts;
}

void add_roofline_fields(BenchRow& row, const SpeedResult& result) {
  const OpWork& work = result.work;
  const auto steps = static_cast<double>(result.steps);
  const double seconds = mean(of_samples(result, [](const SpeedSample& s) { return s.seconds; }));
  const auto peak_s = [&](const SpeedSample& s) {
    return work.int8_ops / s.machine.int8_ops_per_s + work.f32_ops / s.machine.f32_ops_per_s;
  };
  row["bytes_per_step"] = std::llround(work.bytes() / steps);
  row["gb_s"] = work.bytes() / seconds / 1e9;
  row["gop_s"] = work.ops() / seconds / 1e9;
  row["dram_gb_s"] = median(
      of_samples(result, [](const SpeedSample& s) { return s.machine.dram_bytes_per_s / 1e9; }));
  row["dram_share"] = median(of_samples(result, [&](const SpeedSample& s) {
    return work.bytes() / s.seconds / s.machine.dram_bytes_per_s;
  }));
  row["peak_gop_s"] = median(
      of_samples(result, [&](const SpeedSample& s) { return work.ops() / peak_s(s) / 1e9; }));
  row["peak_share"] =
      median(of_samples(result, [&](const SpeedSample& s) { return peak_s(s) / s.seconds; }));
}

void add_step_fields(BenchRow& row, const SpeedResult& result) {
  const auto steps = static_cast<double>(result.steps);
  row["outside_kernels"] = median(of_samples(result, [](const SpeedSample& s) {
    return std::max(0.0, 1 - (s.kernel_s + s.disk_wait_s) / s.seconds);
  }));
  row["region_overhead"] = median(
      of_samples(result, [](const SpeedSample& s) { return s.region_overhead_s / s.seconds; }));
  row["regions_per_step"] = median(of_samples(
      result, [&](const SpeedSample& s) { return static_cast<double>(s.regions) / steps; }));
  row["disk_bytes_per_step"] = std::llround(median(of_samples(
      result, [&](const SpeedSample& s) { return static_cast<double>(s.disk_bytes) / steps; })));
  row["disk_wait"] =
      median(of_samples(result, [](const SpeedSample& s) { return s.disk_wait_s / s.seconds; }));
  row["predicted_ts"] = static_cast<double>(result.test.tokens()) / result.predicted_s;
  row["of_bound"] = median(of_samples(
      result, [&](const SpeedSample& s) { return std::min(1.0, result.bound_s / s.seconds); }));
}

void add_vram_fields(BenchRow& row, const SpeedResult& result) {
  const auto steps = static_cast<double>(result.steps);
  row["host_to_vram_bytes_per_step"] =
      std::llround(median(of_samples(result, [&](const SpeedSample& s) {
        return static_cast<double>(s.host_to_vram.bytes) / steps;
      })));
  row["host_to_vram_gib_per_s"] = median(of_samples(result, [](const SpeedSample& s) {
    return static_cast<double>(s.host_to_vram.bytes) / std::max(s.host_to_vram.busy_s, 1e-9) /
           static_cast<double>(kGiB);
  }));
}

}  // namespace

BenchRow make_bench_row(const BenchRowParts& parts) {
  BenchRow row = BenchRow::object();
  add_setting_fields(row, parts);
  add_time_fields(row, parts.result);
  row["n_seq"] = parts.result.test.n_seq;
  row["isa"] = parts.receipt.isa;
  add_roofline_fields(row, parts.result);
  add_step_fields(row, parts.result);
  if (!parts.receipt.gpu.empty()) add_vram_fields(row, parts.result);
  return row;
}

std::string now_text() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%FT%TZ", &utc)};
}

std::string bench_test_name(const BenchRow& row) {
  return SpeedCase{row["n_prompt"], row["n_gen"], row["n_depth"], row["n_seq"]}.name();
}

std::string build_text() {
  return fmt::format("{} ({})", WINDLASS_BUILD_COMMIT, WINDLASS_BUILD_NUMBER);
}

}  // namespace windlass
