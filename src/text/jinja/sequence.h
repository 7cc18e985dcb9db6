// Walking, indexing and slicing values, as Python does.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "src/text/jinja/value.h"

namespace windlass::jinja {

// Gives elements one after the other; what it gave is gone.
class Iterator : public Object {
 public:
  using Object::Object;
  // False at the end.
  virtual bool next(Value& element) = 0;
};

// Null for what cannot be walked. Of a dict the keys, of a string the characters, of an undefined
// value nothing. An iterator gives itself.
std::shared_ptr<Iterator> try_iterate(Heap& heap, const Value& value);
// As above, but Failure "'int' object is not iterable".
std::shared_ptr<Iterator> iterate(Heap& heap, const Value& value);
// An iterator over what `next` gives. depth: of what it refers to.
Value make_iterator(Heap& heap, int depth, std::function<bool(Value&)> next);
// All elements.
Values collect(Heap& heap, const Value& value);

// Python's len(); nothing for what has none (numbers, iterators).
std::optional<std::int64_t> length_of(const Value& value);
// Element i. REQUIRES: a list, tuple, range, dict (its keys) or dict view; 0 <= i < length.
Value element_at(Heap& heap, const Value& sequence, std::int64_t i);
// value[index]; nothing when it is out of range. REQUIRES: a list, tuple, range or string.
std::optional<Value> try_index(Heap& heap, const Value& value, std::int64_t index);

struct SliceBounds {
  std::optional<std::int64_t> start, stop, step;
};
// value[start:stop:step]. Failure for what has no slices, or a step of 0.
Value slice(Heap& heap, const Value& value, const SliceBounds& bounds);

// Python's `element in container`.
bool contains(Heap& heap, const Value& container, const Value& element);

}  // namespace windlass::jinja
