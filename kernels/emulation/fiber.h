// A fibre of Boost.Context, with the address sanitizer told of each switch.
#pragma once

#include <boost/context/fiber.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>
#include <cstddef>
#include <functional>

namespace windlass::emulation {

// Runs `body` on a stack of its own, from resume() to suspend() and on. The body does not return;
// the destructor unwinds it.
class Fiber {
 public:
  explicit Fiber(std::function<void()> body);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  void resume();   // from outside; returns when the body suspends
  void suspend();  // by the body

 private:
  struct Cancelled {};  // no std::exception, so that bodies may catch these
  // Enough for a kernel's frames under the address sanitizer too; a guard page catches more.
  static constexpr std::size_t kStackBytes = 128 << 10;

  boost::context::fiber run(boost::context::fiber&& outside);

  std::function<void()> body_;
  boost::context::stack_context stack_;
  boost::context::fiber inside_, outside_;
  bool cancelled_ = false;
  // For the sanitizer: frames that it keeps for either side, and where resume() was called from.
  void* inside_frames_ = nullptr;
  void* outside_frames_ = nullptr;
  const void* outside_stack_ = nullptr;
  std::size_t outside_bytes_ = 0;
};

}  // namespace windlass::emulation
