// Runs the threads of one block at a time as fibres, and has them meet at barriers and shuffles.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <source_location>
#include <span>
#include <vector>

#include "kernels/emulation/async_copies.h"
#include "kernels/emulation/fiber.h"

namespace windlass::emulation {

struct Index {
  unsigned x = 0;
};

// What a lane hands to the others of its warp: at most the operands of a product of tiles.
using LaneWords = std::array<std::uint64_t, 3>;

// Owner-thread. Keeps its fibres from block to block, so that a thread costs two switches.
class BlockRunner {
 public:
  // Runs `body` as each thread of `block`, each from meeting to meeting in the order of `order`,
  // which has every thread's number once. With `far_apart` the order is one of warps, each of which
  // goes on until it waits for others, so that they come as far apart as barriers let them.
  // std::runtime_error when the threads do not all meet; then the runner is of no further use.
  void run(Index block, Index blocks, std::span<const int> order, bool far_apart,
           std::int64_t shared_bytes, const std::function<void()>& body);

  // For the running thread.
  void sync_threads(const std::source_location& where);
  // What the 32 lanes of the thread's warp handed in, once all have; valid until its next call.
  const LaneWords* exchange(unsigned lanes, const LaneWords& words,
                            const std::source_location& where);
  std::byte* shared_memory() { return shared_.get(); }
  // std::runtime_error unless the bytes are shared memory, at an address that 16 divides.
  void check_shared(const void* at, std::size_t bytes, const std::source_location& where) const;
  AsyncCopies& copies() { return threads_[running_].copies; }

 private:
  enum class State : std::uint8_t { kRunnable, kWaiting, kEnded };
  struct Thread {
    std::unique_ptr<Fiber> fiber;
    State state = State::kRunnable;
    std::source_location where = {};  // of the last meeting
    AsyncCopies copies = {};
  };
  struct Warp {
    std::array<std::array<LaneWords, 32>, 2> slots = {};  // one is read, the other filled
    int arrived = 0, filling = 0;
  };

  void prepare(std::size_t n_threads);
  void run_thread();
  bool run_runnable(std::span<const int> order);
  bool run_warps(std::span<const int> order);
  // Suspends the running thread until all of the `count` threads from `first` have come to the
  // meeting; the last one goes on at once. std::runtime_error when another one is somewhere else.
  void meet(std::size_t first, std::size_t count, int* arrived, const std::source_location& where);
  [[noreturn]] void fail_stuck() const;

  std::vector<Thread> threads_;  // as many as the largest block so far had
  std::vector<Warp> warps_;
  std::size_t size_ = 0, running_ = 0, ended_ = 0;
  int at_barrier_ = 0;
  std::unique_ptr<std::byte[]> shared_;
  std::size_t shared_bytes_ = 0;
  const std::function<void()>* body_ = nullptr;
  std::exception_ptr failure_;
};

// The runner of the block that runs now. REQUIRES: called by a kernel.
BlockRunner& this_block();

}  // namespace windlass::emulation
