#include "src/text/jinja/sequence.h"

#include <algorithm>

#include "src/base/check.h"
#include "src/text/jinja/unicode.h"

namespace windlass::jinja {
namespace {

// Over all that has a length and elements by number.
class SequenceIterator final : public Iterator {
 public:
  SequenceIterator(Heap& heap, const Value& sequence)
      : Iterator(&heap, 96, sequence.depth() + 1),
        heap_(heap),
        sequence_(sequence),
        size_(*length_of(sequence)) {}
  bool next(Value& element) override {
    if (at_ == size_) return false;
    heap_.step();
    element = element_at(heap_, sequence_, at_++);
    return true;
  }

 private:
  Heap& heap_;
  const Value sequence_;
  const std::int64_t size_;
  std::int64_t at_ = 0;
};

class StringIterator final : public Iterator {
 public:
  StringIterator(Heap& heap, const Value& text)
      : Iterator(&heap, 96, text.depth() + 1), heap_(heap), text_(text) {}
  bool next(Value& element) override {
    const std::string_view rest = std::string_view(text_.text()).substr(at_);
    if (rest.empty()) return false;
    const std::string_view character = first_code_point(rest);
    element = Value::string(&heap_, std::string(character));
    at_ += character.size();
    heap_.step();
    return true;
  }

 private:
  Heap& heap_;
  const Value text_;
  std::size_t at_ = 0;
};

class FunctionIterator final : public Iterator {
 public:
  FunctionIterator(Heap& heap, int depth, std::function<bool(Value&)> next)
      : Iterator(&heap, 160, depth + 1), heap_(heap), next_(std::move(next)) {}
  bool next(Value& element) override {
    heap_.step();
    return next_(element);
  }

 private:
  Heap& heap_;
  const std::function<bool(Value&)> next_;
};

// Python's rule for the bounds of a slice over `size` elements.
struct Walk {
  std::int64_t first, count, step;
};

Walk resolve(const SliceBounds& bounds, std::int64_t size) {
  // Beyond these a bound or step means the same; the sums below stay small.
  constexpr std::int64_t kFar = std::int64_t{1} << 60;
  const std::int64_t step = std::clamp(bounds.step.value_or(1), -kFar, kFar);
  if (step == 0) throw_failure("slice step cannot be zero");
  const std::int64_t low = step > 0 ? 0 : -1;
  const std::int64_t high = step > 0 ? size : size - 1;
  const auto place = [&](const std::optional<std::int64_t>& bound, std::int64_t otherwise) {
    if (!bound) return otherwise;
    const std::int64_t clamped = std::clamp(*bound, -kFar, kFar);
    return std::clamp(clamped < 0 ? clamped + size : clamped, low, high);
  };
  const std::int64_t start = place(bounds.start, step > 0 ? low : high);
  const std::int64_t stop = place(bounds.stop, step > 0 ? high : low);
  const std::int64_t span = step > 0 ? stop - start : start - stop;
  const std::int64_t stride = step > 0 ? step : -step;
  return {start, span <= 0 ? 0 : (span + stride - 1) / stride, step};
}

Value slice_string(Heap& heap, const Value& value, const SliceBounds& bounds) {
  const std::string& text = value.text();
  const auto n_bytes = static_cast<std::int64_t>(text.size());
  heap.copy(n_bytes, n_bytes);
  if (value.is_ascii()) {
    const Walk walk = resolve(bounds, n_bytes);
    std::string result(static_cast<std::size_t>(walk.count), ' ');
    for (std::int64_t i = 0; i < walk.count; ++i) {
      result[static_cast<std::size_t>(i)] =
          text[static_cast<std::size_t>(walk.first + i * walk.step)];
    }
    return Value::string(&heap, std::move(result), value.is_safe());
  }
  heap.step(n_bytes / 8);
  const auto points = split_code_points(text);
  const Walk walk = resolve(bounds, static_cast<std::int64_t>(points.size()));
  std::string result;
  for (std::int64_t i = 0; i < walk.count; ++i)
    result += points[static_cast<std::size_t>(walk.first + i * walk.step)];
  return Value::string(&heap, std::move(result), value.is_safe());
}

std::optional<Value> index_string(Heap& heap, const Value& value, std::int64_t index) {
  const std::string_view text = value.text();
  if (!value.is_ascii()) heap.step(static_cast<std::int64_t>(text.size()) / 32);
  const std::int64_t size = value.n_code_points();
  const std::int64_t at = index < 0 ? index + size : index;
  if (at < 0 || at >= size) return std::nullopt;
  const std::size_t begin = value.is_ascii() ? static_cast<std::size_t>(at) : offset_of(text, at);
  return Value::string(&heap, std::string(first_code_point(text.substr(begin))), value.is_safe());
}

}  // namespace

std::shared_ptr<Iterator> try_iterate(Heap& heap, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return std::make_shared<SequenceIterator>(heap, Value::list(&heap, {}));
    case Kind::kString:
      return std::make_shared<StringIterator>(heap, value);
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kDictView:
    case Kind::kRange:
      return std::make_shared<SequenceIterator>(heap, value);
    case Kind::kIterator:
      return std::static_pointer_cast<Iterator>(value.share());
    default:
      return nullptr;
  }
}

std::shared_ptr<Iterator> iterate(Heap& heap, const Value& value) {
  auto iterator = try_iterate(heap, value);
  if (!iterator) throw_failure("'{}' object is not iterable", type_name(value));
  return iterator;
}

Value make_iterator(Heap& heap, int depth, std::function<bool(Value&)> next) {
  return Value::of(Kind::kIterator,
                   std::make_shared<FunctionIterator>(heap, depth, std::move(next)));
}

Values collect(Heap& heap, const Value& value) {
  Values values;
  const auto iterator = iterate(heap, value);
  // While they are gathered the list is not yet held: bounded by the steps that its elements take.
  for (Value element; iterator->next(element);) {
    heap.copy(sizeof(Value), static_cast<std::int64_t>((values.size() + 1) * sizeof(Value)));
    values.push_back(std::move(element));
  }
  return values;
}

std::optional<std::int64_t> length_of(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      return value.n_code_points();
    case Kind::kList:
    case Kind::kTuple:
      return static_cast<std::int64_t>(value.items().size());
    case Kind::kDict:
      return static_cast<std::int64_t>(value.dict().entries.size());
    case Kind::kDictView:
      return length_of(value.object<DictView>().dict);
    case Kind::kRange:
      return value.object<Range>().size;
    default:
      return std::nullopt;
  }
}

Value element_at(Heap& heap, const Value& sequence, std::int64_t i) {
  const auto at = static_cast<std::size_t>(i);
  switch (sequence.kind()) {
    case Kind::kDict:
      return sequence.dict().entries[at].first;
    case Kind::kRange: {
      const Range& range = sequence.object<Range>();
      return Value::integer(range.start + i * range.step);
    }
    case Kind::kDictView: {
      const DictView& view = sequence.object<DictView>();
      const auto& [key, value] = view.dict.dict().entries[at];
      if (view.part == DictPart::kItems) return Value::tuple(&heap, {key, value});
      return view.part == DictPart::kKeys ? key : value;
    }
    default:
      return sequence.items()[at];
  }
}

std::optional<Value> try_index(Heap& heap, const Value& value, std::int64_t index) {
  if (value.is_string()) return index_string(heap, value, index);
  const std::int64_t size = *length_of(value);
  const std::int64_t at = index < 0 ? index + size : index;
  if (at < 0 || at >= size) return std::nullopt;
  return element_at(heap, value, at);
}

Value slice(Heap& heap, const Value& value, const SliceBounds& bounds) {
  switch (value.kind()) {
    case Kind::kUndefined:
      throw_failure("{}", value.text());
    case Kind::kString:
      return slice_string(heap, value, bounds);
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kRange:
      break;
    default:
      throw_failure("'{}' object has no slices", type_name(value));
  }
  const Walk walk = resolve(bounds, *length_of(value));
  heap.copy(walk.count * static_cast<std::int64_t>(sizeof(Value)),
            walk.count * static_cast<std::int64_t>(sizeof(Value)));
  heap.step(walk.count);
  if (value.is(Kind::kRange)) {
    const Range& range = value.object<Range>();
    const std::int64_t first = range.start + walk.first * range.step;
    const std::int64_t step = walk.count > 1 ? range.step * walk.step : range.step;
    return Value::of(Kind::kRange, std::make_shared<Range>(&heap, first, walk.count, step,
                                                           first + walk.count * step));
  }
  Values items;
  items.reserve(static_cast<std::size_t>(walk.count));
  for (std::int64_t i = 0; i < walk.count; ++i)
    items.push_back(value.items()[static_cast<std::size_t>(walk.first + i * walk.step)]);
  return value.is(Kind::kList) ? Value::list(&heap, std::move(items))
                               : Value::tuple(&heap, std::move(items));
}

bool contains(Heap& heap, const Value& container, const Value& element) {
  if (container.is_string()) {
    if (!element.is_string()) {
      throw_failure("'in <string>' requires string as left operand, not {}", type_name(element));
    }
    const std::string& text = container.text();
    heap.step(1 + static_cast<std::int64_t>(text.size()) / 64);
    return find_text(text, element.text(), 0) != std::string::npos;
  }
  if (container.is(Kind::kDict)) return container.dict().find(heap, element) != nullptr;
  const auto iterator = try_iterate(heap, container);
  if (!iterator) throw_failure("argument of type '{}' is not iterable", type_name(container));
  for (Value item; iterator->next(item);) {
    if (equals(heap, item, element)) return true;
  }
  return false;
}

}  // namespace windlass::jinja
