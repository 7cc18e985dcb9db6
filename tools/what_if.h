// `plan --what-if`: another machine than this one, as changes to its profile.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "pipeline/profile.h"

namespace windlass {

struct WhatIf {
  std::string profile_path;  // empty: this machine's profile
  std::optional<std::int64_t> ram_bytes;
  std::optional<double> dram_bytes_per_s, disk_bytes_per_s;
  std::optional<int> cores;
  std::optional<std::int64_t> vram_bytes;
  std::optional<double> pcie_bytes_per_s, vram_bytes_per_s, gpu_tflops;
  bool names_gpu() const {
    return vram_bytes || pcie_bytes_per_s || vram_bytes_per_s || gpu_tflops;
  }
  // Whether the machine's memory is the other machine's, not this one's.
  bool names_ram() const { return ram_bytes || !profile_path.empty(); }
};

// "[FILE,]key=value,...". Error(kUsage) for an unknown key (with the nearest) or a bad value.
WhatIf parse_what_if(const std::string& text);

// Compute rates scale with cores and stay below the memory's; what the memory limits scales with
// the memory. A key of a GPU puts one into a machine without: an RTX 4090 but for what is named.
// gpu_tflops is a data sheet's (f16, dense, f32 sums), of which two thirds are taken to be
// achieved, and scales the other rates of compute along.
void apply_what_if(const WhatIf& what_if, Profile& profile);

}  // namespace windlass
