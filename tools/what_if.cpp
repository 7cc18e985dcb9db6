#include "tools/what_if.h"

#include <algorithm>
#include <charconv>

#include "src/base/error.h"
#include "src/base/nearest.h"
#include "src/base/units.h"

namespace windlass {
namespace {

// A rate this near to the memory's is taken to be limited by it.
constexpr double kMemoryBound = 0.8;

// A GPU of which not all is said: as configs/machines/rtx4090-ddr5.json, which has the sources.
GpuProfile default_gpu() {
  return {"GPU of --what-if, an RTX 4090 but for what is named",
          24 * kGiB,
          907e9,
          25e9,
          25e9,
          10e-6,
          10e-6,
          110e12,
          180e12,
          50e12,
          4e-6};
}

constexpr double kAchievedFlops = 2.0 / 3;  // of a data sheet's

// "7GB/s"; the "/s" may be left out.
double parse_rate(std::string value, const std::string& key) {
  if (value.ends_with("/s")) value.resize(value.size() - 2);
  const std::int64_t rate = parse_size(value, "--what-if " + key);
  if (rate <= 0)
    fail(ErrorCode::kUsage, "--what-if {}={}: a rate above 0 is wanted, such as 7GB/s", key, value);
  return static_cast<double>(rate);
}

int parse_cores(const std::string& value) {
  int cores = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), cores);
  if (error != std::errc() || end != value.data() + value.size() || cores < 1 || cores > 4096) {
    fail(ErrorCode::kUsage, "--what-if cores={}: a number from 1 to 4096 is wanted", value);
  }
  return cores;
}

double parse_tflops(const std::string& value) {
  double tflops = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), tflops);
  if (error != std::errc() || end != value.data() + value.size() || !(tflops >= 1e-3) ||
      tflops > 1e6) {
    fail(ErrorCode::kUsage, "--what-if gpu_tflops={}: a number from 0.001 to 1000000 is wanted",
         value);
  }
  return tflops;
}

std::int64_t parse_vram(const std::string& value) {
  const std::int64_t size_bytes = parse_size(value, "--what-if vram");
  if (size_bytes <= 0)
    fail(ErrorCode::kUsage, "--what-if vram={}: a size above 0 is wanted, such as 24GiB", value);
  return size_bytes;
}

void set_key(WhatIf& what_if, const std::string& key, const std::string& value) {
  if (key == "ram") {
    what_if.ram_bytes = parse_size(value, "--what-if ram");
  } else if (key == "vram") {
    what_if.vram_bytes = parse_vram(value);
  } else if (key == "pcie") {
    what_if.pcie_bytes_per_s = parse_rate(value, key);
  } else if (key == "dram") {
    what_if.dram_bytes_per_s = parse_rate(value, key);
  } else if (key == "nvme") {
    what_if.disk_bytes_per_s = parse_rate(value, key);
  } else if (key == "vram_bw") {
    what_if.vram_bytes_per_s = parse_rate(value, key);
  } else if (key == "gpu_tflops") {
    what_if.gpu_tflops = parse_tflops(value);
  } else if (key == "cores") {
    what_if.cores = parse_cores(value);
  } else {
    fail(ErrorCode::kUsage, "--what-if {}: unknown key; the nearest is {}", key,
         nearest_name(key,
                      {"ram", "vram", "pcie", "dram", "nvme", "vram_bw", "gpu_tflops", "cores"}));
  }
}

void apply_gpu(const WhatIf& what_if, Profile& profile) {
  if (!what_if.names_gpu()) return;
  if (!profile.gpu) profile.gpu = default_gpu();
  GpuProfile& gpu = *profile.gpu;
  gpu.vram_bytes = what_if.vram_bytes.value_or(gpu.vram_bytes);
  gpu.vram_bytes_per_s = what_if.vram_bytes_per_s.value_or(gpu.vram_bytes_per_s);
  gpu.h2d_bytes_per_s = what_if.pcie_bytes_per_s.value_or(gpu.h2d_bytes_per_s);
  gpu.d2h_bytes_per_s = what_if.pcie_bytes_per_s.value_or(gpu.d2h_bytes_per_s);
  if (!what_if.gpu_tflops) return;
  const double factor = *what_if.gpu_tflops * 1e12 * kAchievedFlops / gpu.f16_ops_per_s;
  for (double* rate : {&gpu.f16_ops_per_s, &gpu.int8_ops_per_s, &gpu.f32_ops_per_s})
    *rate *= factor;
}

// What one stream of bytes from memory reaches on the other machine.
double scaled_stream(double rate, double old_dram, double new_dram, double cores_factor) {
  if (rate <= 0 || old_dram <= 0) return rate;
  const double by_memory =
      rate >= kMemoryBound * old_dram ? rate * new_dram / old_dram : rate * cores_factor;
  return std::min(std::max(by_memory, std::min(rate * cores_factor, rate)), new_dram);
}

}  // namespace

WhatIf parse_what_if(const std::string& text) {
  WhatIf what_if;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string part = text.substr(begin, end - begin);
    const std::size_t equals = part.find('=');
    if (equals != std::string::npos) {
      set_key(what_if, part.substr(0, equals), part.substr(equals + 1));
    } else if (begin == 0 && !part.empty()) {
      what_if.profile_path = part;
    } else {
      fail(ErrorCode::kUsage, "--what-if: '{}' is not key=value (a profile file comes first)",
           part);
    }
    begin = end + 1;
  }
  return what_if;
}

void apply_what_if(const WhatIf& what_if, Profile& profile) {
  apply_gpu(what_if, profile);
  profile.ram_bytes = what_if.ram_bytes.value_or(profile.ram_bytes);
  profile.disk_bytes_per_s = what_if.disk_bytes_per_s.value_or(profile.disk_bytes_per_s);
  if (!what_if.cores && !what_if.dram_bytes_per_s) return;
  const double old_dram = profile.dram_bytes_per_s;
  const double cores_factor =
      what_if.cores && profile.threads > 0
          ? static_cast<double>(*what_if.cores) / static_cast<double>(profile.threads)
          : 1.0;
  const double new_dram = what_if.dram_bytes_per_s.value_or(old_dram);
  for (auto* rates : {&profile.int8, &profile.exact}) {
    for (MatMulRates& rate : *rates) {
      rate.gemv_bytes_per_s =
          scaled_stream(rate.gemv_bytes_per_s, old_dram, new_dram, cores_factor);
      rate.gemm_ops_per_s *= cores_factor;
      rate.unpack_weights_per_s *= cores_factor;
      rate.panel_weights_per_s *= cores_factor;
    }
  }
  profile.attention_bytes_per_s =
      scaled_stream(profile.attention_bytes_per_s, old_dram, new_dram, cores_factor);
  profile.attention_ops_per_s *= cores_factor;
  profile.dram_bytes_per_s = new_dram;
  profile.threads = what_if.cores.value_or(profile.threads);
}

}  // namespace windlass
