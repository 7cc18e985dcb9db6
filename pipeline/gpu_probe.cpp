#include "pipeline/gpu_probe.h"

#include <algorithm>
#include <functional>

#include "src/base/units.h"
#include "src/ops/op_args.h"
#include "src/ops/weight_types.h"

namespace windlass {
namespace {

constexpr int kRepeats = 64;  // of what is too short to be timed alone

class GpuProbe {
 public:
  GpuProbe(Device& device, const DeviceOpTable& ops, const GpuProbeOptions& options)
      : device_(device),
        ops_(ops),
        options_(options),
        stream_(device.make_stream()),
        begun_(device.make_event()),
        done_(device.make_event()),
        host_(get_or_fail(device.allocate_pinned(options.copy_bytes))),
        vram_(get_or_fail(device.reserve(vram_bytes(options)))) {
    for (std::byte*& part : parts_) part = vram_.at(vram_.carve(options.copy_bytes));
    product_ = vram_.at(vram_.carve(product_bytes(options)));
    clear();
  }

  double to_device_s(std::int64_t size_bytes, int times) {
    return best_s([&] {
      for (int i = 0; i < times; ++i)
        device_.copy_to_device(stream_, parts_[0],
                               host_.span().first(static_cast<std::size_t>(size_bytes)));
    });
  }
  double to_host_s(std::int64_t size_bytes, int times) {
    return best_s([&] {
      for (int i = 0; i < times; ++i)
        device_.copy_to_host(stream_, host_.span().first(static_cast<std::size_t>(size_bytes)),
                             parts_[0]);
    });
  }
  // Of an op that reads two parts and writes one.
  double memory_s() {
    constexpr std::int64_t kWidth = 4096;
    const std::int64_t rows = options_.copy_bytes / (kWidth * kFloatBytes);
    const AddArgs args{floats(0), floats(1), kWidth, kWidth, rows, kWidth};
    return best_s([&] { ops_.add(args, {0, rows, stream_}); });
  }
  double launch_s() {
    const AddArgs args{floats(0), floats(1), 32, 32, 1, 32};
    return best_s([&] {
             for (int i = 0; i < kRepeats; ++i) ops_.add(args, {0, 1, stream_});
           }) /
           kRepeats;
  }
  using Product = void (*)(const MatMulArgs&, DeviceRange);
  // 0: no such row.
  double product_s(Product product, DType type, bool q8) {
    if (product == nullptr) return 0;
    MatMulArgs args{};
    args.weights = product_;
    args.row_bytes = row_bytes(type, options_.product_columns);
    args.n_out = options_.product_rows;
    args.n_in = options_.product_columns;
    args.x = parts_[0];
    args.x_stride_bytes = q8 ? q8_row_bytes(args.n_in) : args.n_in * kFloatBytes;
    args.n_tokens = options_.product_tokens;
    args.out = floats(1);
    args.out_stride = args.n_out;
    return best_s([&] { product(args, {0, args.n_out, stream_}); });
  }

 private:
  static constexpr auto kFloatBytes = static_cast<std::int64_t>(sizeof(float));
  static std::int64_t product_bytes(const GpuProbeOptions& options) {
    return options.product_rows * options.product_columns * kFloatBytes;
  }
  static std::int64_t vram_bytes(const GpuProbeOptions& options) {
    return 2 * align_up(options.copy_bytes, DeviceArena::kAlignment) +
           align_up(product_bytes(options), DeviceArena::kAlignment);
  }
  float* floats(int part) const { return reinterpret_cast<float*>(parts_[part]); }

  // Zeros, so that no product meets the slow paths of odd values.
  void clear() {
    for (std::byte* part : parts_) device_.copy_to_device(stream_, part, host_.span());
    for (std::int64_t done = 0; done < product_bytes(options_); done += options_.copy_bytes) {
      const std::int64_t left = product_bytes(options_) - done;
      device_.copy_to_device(
          stream_, product_ + done,
          host_.span().first(static_cast<std::size_t>(std::min(left, options_.copy_bytes))));
    }
  }

  double best_s(const std::function<void()>& work) {
    double best = 0;
    for (int round = 0; round < options_.rounds; ++round) {
      device_.record(stream_, begun_);
      work();
      device_.record(stream_, done_);
      device_.wait_for(done_);
      const double seconds = device_.seconds_between(begun_, done_);
      best = round == 0 ? seconds : std::min(best, seconds);
    }
    return best;
  }

  Device& device_;
  const DeviceOpTable& ops_;
  const GpuProbeOptions& options_;
  Stream stream_;
  Event begun_, done_;
  PinnedMemory host_;
  DeviceArena vram_;
  std::byte* parts_[2] = {};
  std::byte* product_ = nullptr;
};

double rate(double work, double seconds) { return seconds > 0 ? work / seconds : 0; }

}  // namespace

GpuProfile measure_gpu(Device& device, const DeviceOpTable& ops, const GpuProbeOptions& options) {
  constexpr std::int64_t kSmallCopy = 4 * kKiB;
  GpuProbe probe(device, ops, options);
  GpuProfile profile;
  profile.name = device.info().name;
  profile.vram_bytes = device.info().total_bytes;
  const auto bytes = static_cast<double>(options.copy_bytes);
  profile.h2d_bytes_per_s = rate(bytes, probe.to_device_s(options.copy_bytes, 1));
  profile.d2h_bytes_per_s = rate(bytes, probe.to_host_s(options.copy_bytes, 1));
  profile.h2d_latency_s = probe.to_device_s(kSmallCopy, kRepeats) / kRepeats;
  profile.d2h_latency_s = probe.to_host_s(kSmallCopy, kRepeats) / kRepeats;
  profile.vram_bytes_per_s = rate(3 * bytes, probe.memory_s());
  profile.op_overhead_s = probe.launch_s();
  const double ops_of_product = 2.0 * static_cast<double>(options.product_rows) *
                                static_cast<double>(options.product_columns) *
                                static_cast<double>(options.product_tokens);
  const auto row = [](DType type) { return static_cast<std::size_t>(type); };
  profile.int8_ops_per_s =
      rate(ops_of_product, probe.product_s(ops.matmul_q8[row(DType::kQ4_0)], DType::kQ4_0, true));
  profile.f16_ops_per_s =
      rate(ops_of_product, probe.product_s(ops.matmul_f32[row(DType::kF16)], DType::kF16, false));
  profile.f32_ops_per_s =
      rate(ops_of_product, probe.product_s(ops.matmul_f32[row(DType::kF32)], DType::kF32, false));
  return profile;
}

}  // namespace windlass
