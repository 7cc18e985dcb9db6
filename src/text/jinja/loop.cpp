#include "src/text/jinja/loop.h"

namespace windlass::jinja {

Loop::Loop(Heap& heap, const Value& sequence, std::shared_ptr<Iterator> source, std::int64_t depth0)
    : Object(&heap, 192, sequence.depth() + 1),
      heap_(heap),
      source_(std::move(source)),
      depth0_(depth0) {}

bool Loop::look_ahead() {
  if (next_) return true;
  Value element;
  if (!source_->next(element)) return false;
  next_ = std::move(element);
  return true;
}

bool Loop::advance(Value& element) {
  if (!look_ahead()) return false;
  previous_ = std::move(current_);
  current_ = std::move(next_);
  next_.reset();
  element = *current_;
  ++index0_;
  return true;
}

std::int64_t Loop::length() {
  if (length_) return *length_;
  Value rest = Value::list(&heap_, collect(heap_, Value::of(Kind::kIterator, source_)));
  length_ = index0_ + 1 + (next_ ? 1 : 0) + static_cast<std::int64_t>(rest.items().size());
  source_ = iterate(heap_, rest);
  return *length_;
}

std::optional<Value> Loop::attribute(std::string_view name) {
  if (name == "index") return Value::integer(index0_ + 1);
  if (name == "index0") return Value::integer(index0_);
  if (name == "first") return Value::boolean(index0_ == 0);
  if (name == "last") return Value::boolean(!look_ahead());
  if (name == "length") return Value::integer(length());
  if (name == "revindex") return Value::integer(length() - index0_);
  if (name == "revindex0") return Value::integer(length() - index0_ - 1);
  if (name == "depth") return Value::integer(depth0_ + 1);
  if (name == "depth0") return Value::integer(depth0_);
  if (name == "previtem")
    return index0_ > 0 ? *previous_ : Value::undefined("there is no previous item");
  if (name == "nextitem") return look_ahead() ? *next_ : Value::undefined("there is no next item");
  return std::nullopt;
}

bool Loop::changed(Heap& heap, const Values& values) {
  for (const Value& value : values) {
    if (!value.is_number() && !value.is_string() && !value.is_none() && !value.is_undefined())
      throw_unsupported("loop.changed() of a {}", type_name(value));
  }
  bool same = last_changed_ && last_changed_->size() == values.size();
  for (std::size_t i = 0; same && i < values.size(); ++i)
    same = equals(heap, (*last_changed_)[i], values[i]);
  if (!same) last_changed_ = values;
  return !same;
}

}  // namespace windlass::jinja
