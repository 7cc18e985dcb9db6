#include "kernels/emulation/emulated_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "kernels/emulation/block_runner.h"

namespace windlass::emulation {
namespace {

// What every GPU takes without being asked to allow more.
constexpr int kMostThreads = 1024;
constexpr std::int64_t kMostSharedBytes = 48 << 10;
constexpr std::int64_t kMostBlocks = (std::int64_t{1} << 31) - 1;

}  // namespace

EmulatedDevice::EmulatedDevice(std::uint64_t seed) : random_(seed) {}
EmulatedDevice::~EmulatedDevice() = default;

EmulatedDevice& EmulatedDevice::of(Stream stream) {
  return *static_cast<EmulatedDevice*>(stream.native());
}

void EmulatedDevice::enqueue(const LaunchShape& shape, std::function<void()> thread) {
  const auto& [blocks, threads, shared_bytes] = shape;
  if (blocks < 0 || blocks > kMostBlocks || threads < 32 || threads > kMostThreads ||
      threads % 32 != 0 || shared_bytes < 0 || shared_bytes > kMostSharedBytes) {
    throw std::runtime_error(fmt::format("no GPU runs {} blocks of {} threads with {} shared bytes",
                                         blocks, threads, shared_bytes));
  }
  if (blocks > 0) queue_.push_back({shape, std::move(thread)});
}

void EmulatedDevice::wait() {
  const std::vector<Launch> queue = std::exchange(queue_, {});
  for (const Launch& launch : queue) run(launch);
}

void EmulatedDevice::run(const Launch& launch) {
  std::vector<int> blocks(static_cast<std::size_t>(launch.shape.blocks));
  std::vector<int> threads(static_cast<std::size_t>(launch.shape.threads));
  std::iota(blocks.begin(), blocks.end(), 0);
  std::iota(threads.begin(), threads.end(), 0);
  // A fifth of all launches each way: a thread that reads its neighbour's value meets it early.
  enum { kAscending, kDescending, kWarpsApart, kShuffled };
  const std::uint64_t kind = random_() % 5;
  if (kind == kDescending) std::reverse(threads.begin(), threads.end());
  if (kind >= kWarpsApart) std::shuffle(blocks.begin(), blocks.end(), random_);
  std::unique_ptr<BlockRunner> runner = std::move(runner_);
  if (runner == nullptr) runner = std::make_unique<BlockRunner>();
  for (const int block : blocks) {
    if (kind == kWarpsApart) shuffle_warps(&threads);
    if (kind >= kShuffled) std::shuffle(threads.begin(), threads.end(), random_);
    runner->run({static_cast<unsigned>(block)}, {static_cast<unsigned>(launch.shape.blocks)},
                threads, kind == kWarpsApart, launch.shape.shared_bytes, launch.thread);
  }
  runner_ = std::move(runner);  // after an error its fibres are in the middle of something
}

void EmulatedDevice::shuffle_warps(std::vector<int>* threads) {
  std::vector<int> warps(threads->size() / 32);
  std::iota(warps.begin(), warps.end(), 0);
  std::shuffle(warps.begin(), warps.end(), random_);
  for (std::size_t t = 0; t < threads->size(); ++t) {
    (*threads)[t] = 32 * warps[t / 32] + static_cast<int>(t % 32);
  }
}

}  // namespace windlass::emulation
