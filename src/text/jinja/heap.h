// What one rendering may use of time and memory, and the exceptions of a template's run. A template
// comes with a downloaded model: it is hostile input.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include "src/base/error.h"

namespace windlass::jinja {

// A failure without its place; the interpreter adds the line that it was at.
struct Failure {
  ErrorCode code;
  std::string message;
};

// The template did what its language forbids ("'x' is undefined").
template <typename... Args>
[[noreturn]] void throw_failure(fmt::format_string<Args...> format, Args&&... args) {
  throw Failure{ErrorCode::kBadFile, fmt::format(format, std::forward<Args>(args)...)};
}
// Jinja has it, this engine does not, or not so much of it.
template <typename... Args>
[[noreturn]] void throw_unsupported(fmt::format_string<Args...> format, Args&&... args) {
  throw Failure{ErrorCode::kUnsupported, fmt::format(format, std::forward<Args>(args)...)};
}

struct Limits {
  // A step is a node evaluated, an element visited, or 256 bytes copied: some 50 ns, so 20 million
  // are about a second.
  std::int64_t max_steps = 20'000'000;
  // Strings, lists and dicts alive at one time, and any one text.
  std::int64_t max_bytes = std::int64_t{24} << 20;
};

// A template is refused above this size: the largest in use have some 50 KB.
inline constexpr std::int64_t kMaxSourceBytes = 256 * 1024;
// The deepest list of lists of lists. Bounds the recursion of all that walks values.
inline constexpr int kMaxValueDepth = 100;
// Elements of range(), as Jinja's sandbox has it.
inline constexpr std::int64_t kMaxRange = 100'000;

// Counts what is used; throws Failure(kUnsupported) at a limit. Owner-thread; outlives its values.
class Heap {
 public:
  explicit Heap(const Limits& limits) : limits_(limits) {}
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  void step(std::int64_t n = 1) {
    steps_ += n;
    if (steps_ > limits_.max_steps)
      throw_unsupported("it takes more than {} steps", limits_.max_steps);
  }
  // Before n bytes are copied or made, in a text that has `size_bytes` then.
  void copy(std::int64_t n_bytes, std::int64_t size_bytes) {
    check_size(size_bytes);
    step(1 + n_bytes / 256);
  }
  void hold(std::int64_t n_bytes) {
    check_size(held_bytes_ + n_bytes);
    held_bytes_ += n_bytes;
  }
  void release(std::int64_t n_bytes) noexcept { held_bytes_ -= n_bytes; }
  std::int64_t held_bytes() const { return held_bytes_; }

 private:
  void check_size(std::int64_t size_bytes) const {
    if (size_bytes > limits_.max_bytes)
      throw_unsupported("it needs more than {} bytes of memory", limits_.max_bytes);
  }

  Limits limits_;
  std::int64_t steps_ = 0;
  std::int64_t held_bytes_ = 0;
};

// Text that grows within the limits.
class TextBuilder {
 public:
  explicit TextBuilder(Heap& heap) : heap_(heap) {}
  void append(std::string_view text) {
    const auto n = static_cast<std::int64_t>(text.size());
    heap_.copy(n, static_cast<std::int64_t>(text_.size()) + n);
    text_ += text;
  }
  void repeat(std::string_view text, std::int64_t times) {
    for (std::int64_t i = 0; i < times; ++i) append(text);
  }
  Heap& heap() { return heap_; }
  std::string take() { return std::move(text_); }

 private:
  Heap& heap_;
  std::string text_;
};

}  // namespace windlass::jinja
