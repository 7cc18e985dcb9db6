// A step is a list of spans: prefill, a chunk of it, decode, many sequences at once are the same
// thing.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "tiers/kv_pages.h"

namespace windlass {

// Consecutive tokens of one sequence, at least one. Rows of a step are its spans' tokens,
// concatenated; no two spans of a step have the same kv.
struct Span {
  KvPages* kv = nullptr;  // room for the tokens is reserved by the caller
  std::span<const std::int32_t> ids;
  std::int64_t first_position = 0;  // equals the index in kv
  std::int64_t logits_rows = 0;     // the last this many tokens want logits
};

// Columns of logits as they are computed: `rows` wanted rows in span order.
struct StepLogits {
  std::int64_t rows = 0;
  std::int64_t first_column = 0, columns = 0;  // vocabulary ids
  const float* data = nullptr;                 // [rows, stride]
  std::int64_t stride = 0;
};

struct StepInput {
  std::span<const Span> spans;
  std::function<void(const StepLogits&)> sink;  // called on the stepping thread
  std::function<bool()> interrupted = nullptr;  // asked between entries; true ends the step
  std::int64_t rows() const {
    std::int64_t n = 0;
    for (const Span& span : spans) n += static_cast<std::int64_t>(span.ids.size());
    return n;
  }
  std::int64_t logits_rows() const {
    std::int64_t n = 0;
    for (const Span& span : spans) n += span.logits_rows;
    return n;
  }
};

}  // namespace windlass
