// How a region's chunks are divided over the threads of a team, and claimed. Each thread has a
// lane: an equal share of each job's chunks, side by side. It claims from its own first, from the
// others of its NUMA node when that is empty, and from other nodes last. So a thread's claims touch
// a cache line that it mostly has to itself, and the same rows go to the same thread, and node,
// step after step.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

namespace windlass {

// Chunks [begin, end) of one job.
struct ChunkRange {
  std::int64_t begin = 0, end = 0;
  std::int64_t count() const { return end - begin; }
};

// What lane `lane` of n_lanes has of a job's chunks. phase: [0, n_lanes), which lanes the remainder
// goes to; jobs that follow each other pass on the sum of the chunks so far, so that many short
// jobs do not all fall to one lane. The ranges of all lanes are the job's chunks in order.
constexpr ChunkRange lane_chunks(std::int64_t chunks, std::int64_t phase, std::int64_t lane,
                                 std::int64_t n_lanes) {
  return {(chunks * lane + phase) / n_lanes, (chunks * (lane + 1) + phase) / n_lanes};
}

// The chunks of one lane in one region that nobody has claimed yet. Thread-safe. Regions ascend,
// and nothing has to be reset between them: what the word says of an earlier one counts as nothing
// claimed.
class Lane {
 public:
  static constexpr std::int64_t kMostChunks = (std::int64_t{1} << 24) - 1;

  // Claims the next of the lane's n_chunks: half of what is left, so that a lane costs few claims
  // and yet ends in single chunks, which the threads that come to its help share. Empty: all are
  // claimed. What the caller wrote before is seen by whoever finds the claim made. REQUIRES
  // region >= 1, n_chunks <= kMostChunks, both alike for all claims of a region.
  ChunkRange claim(std::uint64_t region, std::int64_t n_chunks) {
    std::uint64_t now = word_.load(std::memory_order_acquire);
    for (;;) {
      const std::int64_t next = claimed(now, region);
      if (next >= n_chunks) return {};
      const std::int64_t end = next + (n_chunks - next + 1) / 2;
      const std::uint64_t after = region * kRegionUnit + static_cast<std::uint64_t>(end);
      if (word_.compare_exchange_weak(now, after, std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
        return {next, end};
      }
    }
  }
  // Whether a claim would get some, at this moment.
  bool has_left(std::uint64_t region, std::int64_t n_chunks) const {
    return claimed(word_.load(std::memory_order_acquire), region) < n_chunks;
  }

 private:
  static constexpr std::uint64_t kRegionUnit = kMostChunks + 1;
  // Of a region that has ended: all, for who comes so late must not claim chunks of it again.
  static std::int64_t claimed(std::uint64_t word, std::uint64_t region) {
    const std::uint64_t last = word / kRegionUnit;
    if (last == region) return static_cast<std::int64_t>(word % kRegionUnit);
    return last < region ? 0 : kMostChunks;
  }
  std::atomic<std::uint64_t> word_{0};  // region * kRegionUnit + chunks claimed
};

// The lanes in the order in which one thread looks at them: its own, its node's, all others.
class LaneOrder {
 public:
  // Of `thread`, one of n_threads, whose node has the threads [node_begin, node_end).
  LaneOrder(int thread, int node_begin, int node_end, int n_threads)
      : offset_(thread - node_begin),
        first_(node_begin),
        size_(node_end - node_begin),
        n_threads_(n_threads) {}
  // visited: lanes that it has looked at before, [0, n_threads).
  int lane(int visited) const {
    return visited < size_ ? first_ + (offset_ + visited) % size_ : (first_ + visited) % n_threads_;
  }

 private:
  int offset_, first_, size_, n_threads_;
};

// Which threads of a team are on which NUMA node: ranges of thread numbers, in the nodes' order.
class ThreadNodes {
 public:
  // Divides n_threads over nodes of so many cores each, by the cores (largest remainders first).
  // REQUIRES n_threads >= 1 and a core somewhere.
  ThreadNodes(int n_threads, const std::vector<int>& cores_of_node);

  int n_threads() const { return ends_.back(); }
  int n_nodes() const { return static_cast<int>(ends_.size()); }
  int begin(int node) const { return node == 0 ? 0 : ends_[static_cast<std::size_t>(node) - 1]; }
  int end(int node) const { return ends_[static_cast<std::size_t>(node)]; }
  int node_of(int thread) const {
    return static_cast<int>(std::upper_bound(ends_.begin(), ends_.end(), thread) - ends_.begin());
  }
  LaneOrder order(int thread) const {
    const int node = node_of(thread);
    return {thread, begin(node), end(node), n_threads()};
  }

 private:
  std::vector<int> ends_;  // by node
};

// The part of [address, address + size_bytes) that holds node `node`'s share of items which lie in
// it evenly, as offsets from address, in whole pages: borders between nodes are the nearest page's,
// the outer ones those of the pages that the ends are in, so that what begins where this ends, not
// on a page, agrees about the page between them.
struct ByteRange {
  std::int64_t begin = 0, end = 0;
};
ByteRange node_bytes(const ThreadNodes& nodes, int node, std::int64_t address,
                     std::int64_t size_bytes, std::int64_t page_bytes);

}  // namespace windlass
