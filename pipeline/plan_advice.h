// What would make a plan's decode faster: the same plan made again for machines, budgets and
// batches that are a little more.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/engine.h"
#include "pipeline/profile.h"

namespace windlass {

struct Advice {
  std::string change;  // "8.00 GiB more --ram", "8 sequences at once"
  double factor = 1;   // tokens a second, against the plan as it is
};

// The best first; none that gains less than a tenth. Cost: some six plans (a quarter of a second
// for each of 70B). Changes that cannot be planned are left out.
std::vector<Advice> what_would_help(const Model& model, const EngineOptions& options,
                                    const Profile& profile, std::int64_t ram_bytes,
                                    std::int64_t depth_tokens);

}  // namespace windlass
