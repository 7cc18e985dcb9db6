// Sets of weights that stay: whole with the file's bytes, or not at all.
#include "pipeline/resident_set.h"

#include <cstring>

#include "src/base/error.h"
#include "tests/support/catch.h"
#include "tests/support/fault_io_engine.h"
#include "tests/support/seed.h"
#include "tests/support/temp_file.h"
#include "tests/tiers/model_fixture.h"

namespace windlass {
namespace {

// 50 MB in one tensor: its one run is read in pieces whose borders lie inside pages.
struct Home {
  explicit Home(const FaultPlan& faults)
      : blocks(tensors, kMiB - 2 * kDirectAlignment),
        file(tensors.tensors.back().extent.end_bytes()),
        store({file.as_model_file()}),
        io(faults),
        tiers(tensors, blocks, store, io, TierManagerOptions{}),
        whole(make_run(blocks, blocks.of_tensor(TensorId{0}))),
        memory(whole.aligned.size_bytes + kOffset),
        set(tiers, blocks, {{whole, kOffset}}, memory.data()) {}

  static TensorTable make_tensors() {
    TensorTable table;
    table.files.push_back({"model", 0});
    add_tensor(table, FileId{0}, DType::kF32, {12345, 1012}, 1000);
    return table;
  }
  bool state_of_all_is(BlockState state) const {
    for (std::int32_t i = 0; i < whole.blocks.count; ++i) {
      if (tiers.state(BlockId{i}) != state) return false;
    }
    return true;
  }
  bool holds_the_file() const {
    return std::memcmp(
               memory.data() + kOffset, file.bytes().data() + whole.aligned.offset_bytes,
               file.bytes().size() - static_cast<std::size_t>(whole.aligned.offset_bytes)) == 0;
  }

  static constexpr std::int64_t kOffset = 3 * kDirectAlignment;
  TensorTable tensors = make_tensors();
  BlockTable blocks;
  TempFile file;
  DiskStore store;
  FaultIoEngine io;
  TierManager tiers;
  Run whole;
  AlignedMemory memory;
  ResidentSet set;
};

void nothing(std::int64_t) {}

TEST_CASE("a resident set is read in pieces to its place, held once, and let go as a whole") {
  Home home({.seed = test_seed(), .capacity = 8, .max_latency = 2, .reorder = true});
  CHECK_FALSE(home.set.held());
  std::vector<std::int64_t> seen;
  home.set.hold([&](std::int64_t done) { seen.push_back(done); });
  CHECK(home.set.held());
  REQUIRE(seen.size() == 4);
  CHECK(seen.front() <= ResidentSet::kPieceBytes);
  CHECK(home.state_of_all_is(BlockState::kPresent));
  CHECK(home.holds_the_file());
  const std::size_t n_reads = home.io.submitted.size();
  home.set.hold(nothing);
  CHECK(home.io.submitted.size() == n_reads);
  home.set.let_go();
  CHECK_FALSE(home.set.held());
  CHECK(home.state_of_all_is(BlockState::kAbsent));
  home.set.let_go();
  home.set.hold(nothing);
  CHECK(home.holds_the_file());
}

TEST_CASE("a resident set whose read fails or is interrupted is not held, and can be tried again") {
  Home home({.seed = test_seed(), .capacity = 8, .max_latency = 2, .fail_read = 30});
  CHECK_THROWS_WITH(home.set.hold(nothing), Contains("Input/output error"));
  CHECK_FALSE(home.set.held());
  CHECK(home.state_of_all_is(BlockState::kAbsent));
  CHECK_THROWS_AS(home.set.hold([](std::int64_t) { fail(ErrorCode::kInterrupted, "enough"); }),
                  Error);
  CHECK_FALSE(home.set.held());
  CHECK(home.state_of_all_is(BlockState::kAbsent));
  home.set.hold(nothing);
  CHECK(home.set.held());
  CHECK(home.holds_the_file());
}

TEST_CASE("an empty set is held without a read") {
  Home home({});
  ResidentSet none(home.tiers, home.blocks, {}, home.memory.data());
  CHECK(none.empty());
  none.hold(nothing);
  CHECK(home.io.submitted.empty());
}

}  // namespace
}  // namespace windlass
