#include "kernels/emulation/block_runner.h"

#include <fmt/format.h>

#include <cstring>
#include <map>
#include <stdexcept>
#include <string>

#include "kernels/emulation/emulated_words.h"
#include "src/base/check.h"

namespace windlass::emulation {
namespace {

thread_local BlockRunner* current = nullptr;

std::string place(const std::source_location& where) {
  const std::string_view path = where.file_name();
  return fmt::format("{}:{}", path.substr(path.rfind('/') + 1), where.line());
}

bool same_place(const std::source_location& a, const std::source_location& b) {
  return a.line() == b.line() && std::strcmp(a.file_name(), b.file_name()) == 0;
}

}  // namespace

BlockRunner& this_block() {
  WINDLASS_CHECK(current != nullptr);
  return *current;
}

void BlockRunner::prepare(std::size_t n_threads) {
  size_ = n_threads;
  ended_ = 0;
  at_barrier_ = 0;
  while (threads_.size() < size_) {
    threads_.push_back({std::make_unique<Fiber>([this] { run_thread(); })});
  }
  for (std::size_t t = 0; t < size_; ++t) threads_[t].state = State::kRunnable;
  warps_.assign(size_ / 32, {});
}

// One fibre's life: a thread of one block after another.
void BlockRunner::run_thread() {
  for (;;) {
    try {
      (*body_)();
      if (!threads_[running_].copies.empty()) {
        throw std::runtime_error(
            fmt::format("thread {} of block {} ended before its copies", threadIdx.x, blockIdx.x));
      }
    } catch (const std::exception&) {
      failure_ = std::current_exception();
    }
    Thread& thread = threads_[running_];
    thread.state = State::kEnded;
    ++ended_;
    thread.fiber->suspend();
  }
}

void BlockRunner::run(Index block, Index blocks, std::span<const int> order, bool far_apart,
                      std::int64_t shared_bytes, const std::function<void()>& body) {
  prepare(order.size());
  shared_bytes_ = static_cast<std::size_t>(shared_bytes);
  shared_.reset(new std::byte[shared_bytes_]);
  std::memset(shared_.get(), 0xff, shared_bytes_);  // NaNs
  body_ = &body;
  current = this;
  blockIdx = block;
  gridDim = blocks;
  blockDim = {static_cast<unsigned>(size_)};
  while (ended_ < size_) {
    if (!(far_apart ? run_warps(order) : run_runnable(order))) fail_stuck();
  }
  shared_.reset();
  current = nullptr;
}

bool BlockRunner::run_runnable(std::span<const int> order) {
  bool any = false;
  for (const int number : order) {
    running_ = static_cast<std::size_t>(number);
    if (threads_[running_].state != State::kRunnable) continue;
    any = true;
    threadIdx = {static_cast<unsigned>(number)};
    threads_[running_].fiber->resume();
    if (failure_) std::rethrow_exception(failure_);
  }
  return any;
}

bool BlockRunner::run_warps(std::span<const int> order) {
  bool any = false;
  for (std::size_t first = 0; first < order.size(); first += 32) {
    while (run_runnable(order.subspan(first, 32))) any = true;
  }
  return any;
}

void BlockRunner::meet(std::size_t first, std::size_t count, int* arrived,
                       const std::source_location& where) {
  Thread& self = threads_[running_];
  self.where = where;
  if (++*arrived < static_cast<int>(count)) {
    self.state = State::kWaiting;
    self.fiber->suspend();
    return;
  }
  *arrived = 0;
  for (std::size_t t = first; t < first + count; ++t) {
    if (!same_place(threads_[t].where, where)) fail_stuck();
    threads_[t].state = State::kRunnable;
  }
}

void BlockRunner::sync_threads(const std::source_location& where) {
  meet(0, size_, &at_barrier_, where);
}

const LaneWords* BlockRunner::exchange(unsigned lanes, const LaneWords& words,
                                       const std::source_location& where) {
  if (lanes != 0xffffffffu) {
    throw std::runtime_error(fmt::format("{}: not all 32 lanes are named", place(where)));
  }
  const std::size_t first = running_ / 32 * 32;
  Warp& warp = warps_[first / 32];
  auto& slots = warp.slots[static_cast<std::size_t>(warp.filling)];
  slots[running_ - first] = words;
  if (warp.arrived == 31) warp.filling = 1 - warp.filling;
  meet(first, 32, &warp.arrived, where);
  return slots.data();
}

void BlockRunner::check_shared(const void* at, std::size_t bytes,
                               const std::source_location& where) const {
  const auto begin = reinterpret_cast<std::uintptr_t>(shared_.get());
  const auto address = reinterpret_cast<std::uintptr_t>(at);
  if (address % 16 == 0 && address >= begin && address + bytes <= begin + shared_bytes_) return;
  throw std::runtime_error(fmt::format("{}: {} bytes at offset {} of {} shared ones", place(where),
                                       bytes, static_cast<std::ptrdiff_t>(address - begin),
                                       shared_bytes_));
}

void BlockRunner::fail_stuck() const {
  std::map<std::string, int> waiting;
  for (std::size_t t = 0; t < size_; ++t) {
    const bool ended = threads_[t].state == State::kEnded;
    ++waiting[ended ? "have ended" : "are at " + place(threads_[t].where)];
  }
  std::string text = fmt::format("threads of block {} do not meet:", blockIdx.x);
  for (const auto& [what, count] : waiting) text += fmt::format(" {} {};", count, what);
  text.pop_back();
  throw std::runtime_error(text);
}

}  // namespace windlass::emulation
