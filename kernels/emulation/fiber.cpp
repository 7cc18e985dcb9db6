#include "kernels/emulation/fiber.h"

#include <boost/context/preallocated.hpp>
#include <utility>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

namespace windlass::emulation {
namespace {

// Before a switch to that stack. Null frames: the present stack is left for good.
void before_switch([[maybe_unused]] void** frames, [[maybe_unused]] const void* stack,
                   [[maybe_unused]] std::size_t bytes) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(frames, stack, bytes);
#endif
}

// After one, on the new stack; gives the old one's place.
void after_switch([[maybe_unused]] void* frames, [[maybe_unused]] const void** stack,
                  [[maybe_unused]] std::size_t* bytes) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(frames, stack, bytes);
#endif
}

}  // namespace

Fiber::Fiber(std::function<void()> body) : body_(std::move(body)) {
  boost::context::protected_fixedsize_stack allocator(kStackBytes);
  stack_ = allocator.allocate();
  const boost::context::preallocated place(stack_.sp, stack_.size, stack_);
  inside_ = boost::context::fiber(
      std::allocator_arg, place, allocator,
      [this](boost::context::fiber&& outside) { return run(std::move(outside)); });
  resume();  // to where it waits for its first turn: one that never ran could not be unwound
}

Fiber::~Fiber() {
  cancelled_ = true;
  resume();
}

boost::context::fiber Fiber::run(boost::context::fiber&& outside) {
  outside_ = std::move(outside);
  after_switch(nullptr, &outside_stack_, &outside_bytes_);
  try {
    suspend();
    body_();
  } catch (const Cancelled&) {
  }
  before_switch(nullptr, outside_stack_, outside_bytes_);
  return std::move(outside_);
}

void Fiber::resume() {
  before_switch(&outside_frames_, static_cast<char*>(stack_.sp) - stack_.size, stack_.size);
  inside_ = std::move(inside_).resume();
  after_switch(outside_frames_, nullptr, nullptr);
}

void Fiber::suspend() {
  before_switch(&inside_frames_, outside_stack_, outside_bytes_);
  outside_ = std::move(outside_).resume();
  after_switch(inside_frames_, &outside_stack_, &outside_bytes_);
  if (cancelled_) throw Cancelled{};
}

}  // namespace windlass::emulation
