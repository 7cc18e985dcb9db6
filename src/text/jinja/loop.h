// The variable `loop` of a for block.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "src/text/jinja/interpreter.h"

namespace windlass::jinja {

// Reads its sequence no further than is asked: of what an iterator gives, only loop.last,
// loop.nextitem and loop.length look ahead.
class Loop final : public Object {
 public:
  Loop(Heap& heap, const Value& sequence, std::shared_ptr<Iterator> source, std::int64_t depth0);

  // Steps to the next element; false at the end.
  bool advance(Value& element);
  // loop.name; nothing for what is no attribute of it.
  std::optional<Value> attribute(std::string_view name);
  // loop.changed(...): whether the values are not those of the last call. Only plain values: what
  // can hold a loop could make it hold itself.
  bool changed(Heap& heap, const Values& values);
  std::int64_t index0() const { return index0_; }

  // Where a recursive loop begins anew; null for others.
  const ForNode* node = nullptr;
  std::weak_ptr<Scope> scope;
  std::int64_t depth0() const { return depth0_; }

 private:
  bool look_ahead();
  std::int64_t length();

  Heap& heap_;
  std::shared_ptr<Iterator> source_;
  std::optional<std::int64_t> length_;
  const std::int64_t depth0_;
  std::int64_t index0_ = -1;
  std::optional<Value> previous_, current_, next_;
  std::optional<Values> last_changed_;
};

}  // namespace windlass::jinja
