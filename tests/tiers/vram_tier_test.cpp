// Runs on their way to VRAM, on the simulated device.
#include "tiers/vram_tier.h"

#include <cstring>

#include "src/device/simulated_device.h"
#include "tests/support/catch.h"
#include "tests/support/fault_io_engine.h"
#include "tests/tiers/model_fixture.h"

namespace windlass {
namespace {

constexpr int kBlocks = 200;
constexpr std::int64_t kBlockBytes = 4096;

// A file of blocks of a page, four staging slots, and a ring of two slots of VRAM.
struct Fixture {
  Fixture()
      : file(kBlocks * kBlockBytes),
        tensors(table()),
        blocks(tensors, kBlockBytes),
        store(tensors.files),
        io(FaultPlan{}),
        tiers(tensors, blocks, store, io, {}),
        device(clock, options()),
        staging(get_or_fail(device.allocate_pinned(4 * kBlockBytes))),
        host(get_or_fail(device.allocate_pinned(kBlocks * kBlockBytes))),
        arena(get_or_fail(device.reserve(2 * kBlockBytes))),
        compute(device.make_stream()),
        vram({blocks, tiers, device, compute, staging.span(), kBlockBytes, host.span()}) {
    slots[0] = arena.at(arena.carve(kBlockBytes));
    slots[1] = arena.at(arena.carve(kBlockBytes));
  }
  TensorTable table() const {
    TensorTable result;
    result.files.push_back(file.as_model_file());
    for (int i = 0; i < kBlocks; ++i) add_tensor(result, FileId{0}, DType::kF32, {1, 1024});
    return result;
  }
  static SimulatedDeviceOptions options() {
    SimulatedDeviceOptions result;
    result.memory_bytes = kMiB;
    return result;
  }
  Run run(int block) const { return make_run(blocks, {BlockId{block}, 1}); }
  // All blocks in memory that the device copies from.
  void load_host() {
    std::vector<TierManager::Placed> placed;
    for (int block = 0; block < kBlocks; ++block)
      placed.push_back({run(block), host.data() + block * kBlockBytes});
    tiers.load_all(placed, [](std::int64_t) {});
  }

  TempFile file;
  TensorTable tensors;
  BlockTable blocks;
  DiskStore store;
  FaultIoEngine io;
  TierManager tiers;
  VirtualClock clock;
  SimulatedDevice device;
  PinnedMemory staging, host;
  DeviceArena arena;
  Stream compute;
  VramTier vram;
  std::byte* slots[2];
};

TEST_CASE("any number of runs can be put on the stream before the device has done any") {
  // Outlives the device, whose kernels write to it.
  std::vector<std::vector<std::byte>> seen(kBlocks, std::vector<std::byte>(kBlockBytes));
  Fixture f;
  if (GENERATE(false, true)) f.load_host();
  for (int block = 0; block < kBlocks; ++block) {
    REQUIRE(f.vram.start_load(f.run(block), f.slots[block % 2], block));
    const std::byte* at = f.vram.ready({BlockId{block}, 1});
    f.device.run(f.compute, 1e-6, [&seen, block, at] {
      std::memcpy(seen[static_cast<std::size_t>(block)].data(), at, kBlockBytes);
    });
    f.vram.drop(f.run(block));
  }
  const Event done = f.device.make_event();
  f.device.record(f.compute, done);
  f.device.wait_for(done);
  for (int block = 0; block < kBlocks; ++block) {
    INFO(block);
    const std::byte* expected = f.file.bytes().data() + block * kBlockBytes;
    REQUIRE(std::memcmp(seen[static_cast<std::size_t>(block)].data(), expected, kBlockBytes) == 0);
  }
  CHECK(f.vram.sent_bytes() == kBlocks * kBlockBytes);
}

}  // namespace
}  // namespace windlass
