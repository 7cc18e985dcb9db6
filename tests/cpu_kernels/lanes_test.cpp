// How chunks are divided over threads and nodes, and claimed: every one, once, each thread's first.
#include "cpu_kernels/lanes.h"

#include <set>

#include "tests/support/catch.h"

namespace windlass::test {

TEST_CASE("lanes are a job's chunks in order, as equal as whole chunks allow") {
  for (const std::int64_t n_lanes : {1, 2, 3, 7, 64}) {
    for (const std::int64_t chunks : {0, 1, 2, 9, 18, 64, 1000}) {
      for (std::int64_t phase = 0; phase < n_lanes; ++phase) {
        std::int64_t next = 0;
        for (std::int64_t lane = 0; lane < n_lanes; ++lane) {
          const ChunkRange range = lane_chunks(chunks, phase, lane, n_lanes);
          REQUIRE(range.begin == next);
          REQUIRE(range.count() >= chunks / n_lanes);
          REQUIRE(range.count() <= (chunks + n_lanes - 1) / n_lanes);
          next = range.end;
        }
        REQUIRE(next == chunks);
      }
    }
  }
}

TEST_CASE("jobs of one chunk each fall to all lanes alike") {
  constexpr std::int64_t kLanes = 4;
  std::vector<int> jobs_of_lane(kLanes, 0);
  for (std::int64_t job = 0; job < 3 * kLanes; ++job) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      const std::int64_t n = lane_chunks(1, job % kLanes, lane, kLanes).count();
      jobs_of_lane[static_cast<std::size_t>(lane)] += static_cast<int>(n);
    }
  }
  CHECK(jobs_of_lane == std::vector<int>(kLanes, 3));
}

TEST_CASE("claims take half of what is left, and each chunk once") {
  Lane lane;
  std::vector<std::int64_t> sizes;
  std::int64_t next = 0;
  for (ChunkRange claim; (claim = lane.claim(1, 9)).count() > 0; next = claim.end) {
    REQUIRE(claim.begin == next);
    sizes.push_back(claim.count());
  }
  CHECK(next == 9);
  CHECK(sizes == std::vector<std::int64_t>{5, 2, 1, 1});
  CHECK_FALSE(lane.has_left(1, 9));
  CHECK(lane.claim(1, 9).count() == 0);
}

TEST_CASE("a lane is full again in the next region, and empty for who comes from the last one") {
  Lane lane;
  CHECK(lane.has_left(1, 2));
  CHECK_FALSE(lane.has_left(1, 0));
  lane.claim(1, 2);
  CHECK(lane.has_left(1, 2));  // of region 1 a chunk is left over
  CHECK(lane.claim(2, 4).count() == 2);
  CHECK_FALSE(lane.has_left(1, 2));
  CHECK(lane.claim(1, 2).count() == 0);
  CHECK(lane.claim(2, 4).begin == 2);
}

TEST_CASE("threads are divided over nodes by their cores") {
  const auto sizes = [](int n_threads, const std::vector<int>& cores) {
    const ThreadNodes nodes(n_threads, cores);
    REQUIRE(nodes.n_threads() == n_threads);
    std::vector<int> result;
    for (int node = 0; node < nodes.n_nodes(); ++node) {
      result.push_back(nodes.end(node) - nodes.begin(node));
      for (int thread = nodes.begin(node); thread < nodes.end(node); ++thread) {
        REQUIRE(nodes.node_of(thread) == node);
      }
    }
    return result;
  };
  CHECK(sizes(8, {4, 4}) == std::vector<int>{4, 4});
  CHECK(sizes(16, {4, 4}) == std::vector<int>{8, 8});
  CHECK(sizes(3, {4, 4}) == std::vector<int>{2, 1});
  CHECK(sizes(6, {8, 4}) == std::vector<int>{4, 2});
  CHECK(sizes(5, {8, 4}) == std::vector<int>{3, 2});
  CHECK(sizes(1, {4, 4}) == std::vector<int>{1, 0});
  CHECK(sizes(7, {1}) == std::vector<int>{7});
}

TEST_CASE("a thread looks at its own lane first, then at its node's, and at each once") {
  const ThreadNodes nodes(7, {4, 2, 1});
  for (int thread = 0; thread < 7; ++thread) {
    const LaneOrder order = nodes.order(thread);
    const int node = nodes.node_of(thread), size = nodes.end(node) - nodes.begin(node);
    std::set<int> seen;
    for (int visited = 0; visited < 7; ++visited) {
      const int lane = order.lane(visited);
      REQUIRE((visited < size) == (nodes.node_of(lane) == node));
      seen.insert(lane);
    }
    REQUIRE(order.lane(0) == thread);
    REQUIRE(seen == std::set<int>{0, 1, 2, 3, 4, 5, 6});
  }
  // Those that come to help begin at different lanes.
  CHECK(nodes.order(0).lane(1) != nodes.order(1).lane(1));
}

TEST_CASE("bytes are divided over nodes as items are, in whole pages") {
  constexpr std::int64_t kPage = 4096;
  const ThreadNodes nodes(5, {8, 4});  // 3 and 2 threads
  for (const std::int64_t address : {100 * kPage, 100 * kPage + 1, 101 * kPage - 1}) {
    for (const std::int64_t size : {4 * kPage, 40 * kPage + 17, 1000 * kPage - 1}) {
      const ByteRange first = node_bytes(nodes, 0, address, size, kPage);
      const ByteRange second = node_bytes(nodes, 1, address, size, kPage);
      REQUIRE(first.begin <= 0);
      REQUIRE(first.begin > -kPage);
      REQUIRE(first.end == second.begin);
      REQUIRE(second.end <= size);
      REQUIRE(second.end > size - kPage);
      for (const std::int64_t offset : {first.begin, first.end, second.end}) {
        REQUIRE((address + offset) % kPage == 0);
      }
      REQUIRE(std::abs(first.end - size * 3 / 5) <= kPage / 2 + 1);
      // What follows begins with the page that this leaves.
      REQUIRE(node_bytes(nodes, 0, address + size, size, kPage).begin + size == second.end);
    }
  }
}

}  // namespace windlass::test
