#include "tiers/residency.h"

#include "tests/support/catch.h"
#include "tests/support/child_process.h"

using namespace windlass;

namespace {

struct OneBlock {
  Residency residency{3};
  BlockId id{1};
  std::byte memory[8] = {};
  void load() {
    residency.begin_load(id, memory);
    residency.finish_load(id);
  }
};

}  // namespace

TEST_CASE("a block goes from absent through loading to present and back") {
  OneBlock block;
  CHECK(block.residency.state(block.id) == BlockState::kAbsent);
  block.residency.begin_load(block.id, block.memory);
  CHECK(block.residency.state(block.id) == BlockState::kLoading);
  block.residency.finish_load(block.id);
  CHECK(block.residency.state(block.id) == BlockState::kPresent);
  CHECK(block.residency.lease(block.id).bytes() == block.memory);
  block.residency.drop(block.id);
  CHECK(block.residency.state(block.id) == BlockState::kAbsent);
  block.residency.begin_load(block.id, block.memory);
  block.residency.drop(block.id);
  CHECK(block.residency.state(block.id) == BlockState::kAbsent);
  CHECK(block.residency.state(BlockId{0}) == BlockState::kAbsent);
}

TEST_CASE("a leased block is never evicted") {
  OneBlock block;
  block.load();
  CHECK(fails_a_check([&] {
    const Lease lease = block.residency.lease(block.id);
    block.residency.drop(block.id);
  }));
  CHECK(fails_a_check([&] {
    Lease first = block.residency.lease(block.id);
    { const Lease second = block.residency.lease(block.id); }
    block.residency.drop(block.id);  // the first still lives
  }));
}

TEST_CASE("leases count, move and end") {
  OneBlock block;
  block.load();
  {
    Lease first = block.residency.lease(block.id);
    Lease second = block.residency.lease(block.id);
    CHECK(block.residency.leases(block.id) == 2);
    Lease moved(std::move(first));
    CHECK_FALSE(first);
    CHECK(moved);
    CHECK(block.residency.leases(block.id) == 2);
    second = std::move(moved);
    CHECK(block.residency.leases(block.id) == 1);
    CHECK(second.bytes() == block.memory);
    second = Lease();
    CHECK(block.residency.leases(block.id) == 0);
  }
  CHECK(block.residency.leases(block.id) == 0);
  block.residency.drop(block.id);
}

TEST_CASE("steps out of order are bugs") {
  OneBlock block;
  CHECK(fails_a_check([&] { block.residency.finish_load(block.id); }));
  CHECK(fails_a_check([&] { block.residency.drop(block.id); }));
  CHECK(fails_a_check([&] { block.residency.lease(block.id); }));
  CHECK(fails_a_check([&] { Lease().bytes(); }));
  CHECK(fails_a_check([&] { block.residency.state(BlockId{3}); }));
  CHECK(fails_a_check([&] { block.residency.state(BlockId{-1}); }));
  block.residency.begin_load(block.id, block.memory);
  CHECK(fails_a_check([&] { block.residency.begin_load(block.id, block.memory); }));
  CHECK(fails_a_check([&] { block.residency.lease(block.id); }));
  block.residency.finish_load(block.id);
  CHECK(fails_a_check([&] { block.residency.finish_load(block.id); }));
  CHECK(fails_a_check([&] { block.residency.begin_load(block.id, block.memory); }));
}

TEST_CASE("an entry takes 16 bytes") { CHECK(Residency(1000).size_bytes() == 16'000); }
