// A device for kernels that run on the CPU: a stream that keeps what is launched until somebody
// waits for it, as a GPU is free to do.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "src/device/stream.h"

namespace windlass::emulation {

class BlockRunner;

struct LaunchShape {
  std::int64_t blocks;
  int threads;
  std::int64_t shared_bytes;
};

// Owner-thread. Blocks, and the threads of a block between two meetings, run in an order that each
// launch draws from `seed`: kernels whose results depend on it lack a barrier.
class EmulatedDevice : private StreamMaker {
 public:
  explicit EmulatedDevice(std::uint64_t seed);
  ~EmulatedDevice();
  EmulatedDevice(const EmulatedDevice&) = delete;
  EmulatedDevice& operator=(const EmulatedDevice&) = delete;

  Stream stream() { return make_stream(this); }
  static EmulatedDevice& of(Stream stream);

  // `thread` is the kernel with its arguments; nothing is done where there is no block.
  // std::runtime_error for a shape that not every GPU takes.
  void enqueue(const LaunchShape& shape, std::function<void()> thread);
  // Runs what is enqueued, in order. std::runtime_error, and the rest dropped, when the threads of
  // a block do not meet at a barrier or a shuffle: says how many are where.
  void wait();

 private:
  struct Launch {
    LaunchShape shape;
    std::function<void()> thread;
  };
  void run(const Launch& launch);
  void shuffle_warps(std::vector<int>* threads);

  std::mt19937_64 random_;
  std::vector<Launch> queue_;
  std::unique_ptr<BlockRunner> runner_;  // null after an error
};

}  // namespace windlass::emulation
