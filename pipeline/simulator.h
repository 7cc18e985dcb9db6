// Plays a Plan against a cost model on a virtual clock: the timeline that the executor should
// produce.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "pipeline/cost_model.h"
#include "pipeline/schedule.h"

namespace windlass {

// What works by itself and can be waited for.
enum class Resource : std::uint8_t { kCpu, kGpu, kDisk, kHostToVram, kVramToHost };
inline constexpr int kResources = 5;
const char* resource_name(Resource resource);  // "cpu", "gpu", "disk_to_host", ...

// A resource at work, or waiting for another, from the step's start.
struct WorkSpan {
  Resource resource = Resource::kCpu;
  double begin_s = 0, end_s = 0;
  std::int32_t op = -1;  // index into LayerGraph::ops; -1: not of one op
  bool waits = false;
};

struct Prediction {
  double step_s = 0;       // one step in the steady state (after the first filled the ring)
  double disk_busy_s = 0;  // of that step
  double cpu_busy_s = 0;
  std::int64_t disk_bytes = 0;
  double expert_read_bytes = 0;  // of disk_bytes, expected
  double gpu_busy_s = 0;
  double h2d_busy_s = 0, d2h_busy_s = 0;
  std::int64_t h2d_bytes = 0, d2h_bytes = 0;
  std::vector<WorkSpan> spans = {};  // where they are wanted; ascending in begin_s by resource

  double busy_s(Resource resource) const;
  std::int64_t bytes(Resource resource) const;  // 0 where it is no link
};

struct SimulatorOptions {
  std::int64_t ring_slots = 0;
  bool overlap = true;              // false: each load is issued when its first user is due
  bool embedding_resident = false;  // rows fetched singly come from memory
  // The expert cache: all that it may hold (empty: no cache), slots that read ahead, and how many
  // of the matrices that a step needs it is expected to hold.
  std::span<const Run> expert_runs = {};
  std::int64_t expert_read_ahead = 0;
  double expert_hit_rate = 0;
  std::int64_t vram_ring_slots = 0;
  std::int64_t staging_slots = 0;      // of the host, for what goes from disk to VRAM
  const BlockTable* blocks = nullptr;  // wanted where something does
  bool spans = false;
};
// For a placement and its decode steps, or larger ones; `experts`: expert_runs() of its model.
SimulatorOptions simulator_options(const Placement& placement, std::span<const Run> experts,
                                   bool overlap, bool embedding_resident, bool decode);

// Steady state of playing `plan` again and again with `load`. Cost: three passes over the plan's
// entries. Model: the CPU runs one entry at a time; the link moves one read at a time at the
// profile's rate, each not before a latency after its issue; a read is issued when its ring slot is
// free, in order, between two entries. While the link is busy, entries take longer by the bandwidth
// of DRAM that arriving bytes take. Matrices of experts cost the share of their time and bytes that
// is expected of them; their reads begin when the routing is known, before the ring's.
// With a GPU: its entries and the moves of buffers run on a stream in the plan's order, and the
// host waits for it only where a buffer comes back and at the step's end. Loads to VRAM are copied
// on a stream of their own, in order, each as soon as its slot's last entry has ended.
Prediction simulate(const Plan& plan, const CostModel& costs, const StepLoad& load,
                    const SimulatorOptions& options);

}  // namespace windlass
