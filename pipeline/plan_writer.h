// Writes the Plan of one kind of step, entry by entry, in the order of the graph: which rows of
// which weight by whom, what is loaded for it, and which buffers move between processors.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "pipeline/schedule.h"
#include "src/model/layer_graph.h"

namespace windlass {

// The schedule of a step over a placement: one entry per op and resident stretch, or op and expert;
// loads in deadline order. with_head: logits are wanted by some row; else the ops on logits rows
// (and their weights' reads) are left out. decode: a decode step, in which decode_pinned is
// resident too. REQUIRES of the placement's sites: kCpu for ops that fetch rows, route, gather or
// combine experts, or hand out logits; no kSplit where rows of the weight are inputs, or of a
// vector that is not pinned in both tiers; appends and attention where the layer's KV is.
Plan make_plan(const LayerGraph& graph, const BlockTable& blocks, const Placement& placement,
               bool with_head, bool decode = false);

// The index in `placed` of the run that holds each block; -1: none.
std::vector<std::int32_t> pinned_runs(const BlockTable& blocks, std::span<const PlacedRun> placed);

}  // namespace windlass
