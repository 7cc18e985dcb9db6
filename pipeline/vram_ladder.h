// A plan whose VRAM is really there: another process may have taken what was free, and then the
// session shrinks instead of failing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pipeline/session_plan.h"
#include "src/device/device.h"

namespace windlass {

struct ReservedPlan {
  SessionPlan plan;
  std::optional<DeviceArena> vram;  // VramMemory::size_bytes() of the plan's placement
  std::vector<std::string> notes;   // what was given up, and why; for the receipt
};

// make_session_plan(), and its VRAM reserved. Where the device refuses, in this order: the same
// with as much VRAM as there is (weights stream or are computed by the CPU, keys and values move to
// the host); with micro-batches half as large, and again; with the CPU alone. The second changes
// the row counts of steps, and so the last bits of logits: the note says so (law 2). Errors as
// make_session_plan: of the options as given, or of --ram for the CPU alone. REQUIRES
// options.device and device_ops where options.vram_bytes > 0.
ReservedPlan reserve_plan(const Model& model, EngineOptions options, const Profile& profile,
                          std::int64_t ram_bytes);

}  // namespace windlass
