// Puts a session's memory on the NUMA nodes of the threads that will read it.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu_kernels/op_table.h"
#include "pipeline/host_memory.h"
#include "pipeline/session_plan.h"

namespace windlass {

// Pinned weights that one entry's product reads row by row, as they lie in the pinned memory.
struct ReadByRows {
  std::int64_t offset_bytes = 0, size_bytes = 0;
};
std::vector<ReadByRows> pinned_by_rows(const SessionPlan& plan, const TensorTable& tensors);

// Before the memory's first touch; costs nothing where the team has one node. Pinned weights come
// to lie where their rows are read: each product's rows are divided over the nodes alike in every
// step (Team::place_by_items), and the arena keeps a pinned tensor at one place for the session.
// All else is spread over the nodes page by page: slots of the ring and of the expert cache hold
// other rows each time, and are fed at the disk's rate, far below that of the link between nodes;
// activations and KV pages are read by all threads.
void place_on_nodes(const Team& team, const SessionPlan& plan, const TensorTable& tensors,
                    HostMemory& memory);

}  // namespace windlass
