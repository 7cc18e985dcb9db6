// Guards of the interpreter: how deep it is, and what it puts back.
#pragma once

#include <utility>

#include "src/text/jinja/heap.h"

namespace windlass::jinja {

// Levels of evaluation, macro calls and blocks together. A level was seen to take just under 1 KiB
// of stack, and the program promises itself 512 KiB.
inline constexpr int kMaxLevels = 400;

// One more level while it lives.
class Nested {
 public:
  explicit Nested(int& depth) : depth_(depth) {
    if (depth >= kMaxLevels) throw_unsupported("it recurses deeper than {} levels", kMaxLevels);
    ++depth_;
  }
  ~Nested() { --depth_; }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;

 private:
  int& depth_;
};

// A variable has another value while this lives.
template <typename T>
class Restored {
 public:
  Restored(T& variable, T value)
      : variable_(variable), outer_(std::exchange(variable, std::move(value))) {}
  ~Restored() { variable_ = std::move(outer_); }
  Restored(const Restored&) = delete;
  Restored& operator=(const Restored&) = delete;

 private:
  T& variable_;
  T outer_;
};

}  // namespace windlass::jinja
