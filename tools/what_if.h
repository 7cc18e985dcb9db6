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
};

// "[FILE,]key=value,...". Error(kUsage) for an unknown key (with the nearest) or a bad value,
// Error(kUnsupported) for a key of a GPU where there is none.
WhatIf parse_what_if(const std::string& text);

// Compute rates scale with cores and stay below the memory's; what the memory limits scales with
// the memory.
void apply_what_if(const WhatIf& what_if, Profile& profile);

}  // namespace windlass
