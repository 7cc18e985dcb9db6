// Filters of sequences and dicts as wholes.
#include <algorithm>

#include "src/text/jinja/filter_tables.h"
#include "src/text/jinja/interpreter.h"
#include "src/text/jinja/operators.h"
#include "src/text/jinja/text_ops.h"

namespace windlass::jinja {
namespace {

using Args = BoundArguments;

Value length(Interpreter&, const Value& value, const Args&) {
  const auto length = length_of(value);
  if (!length) throw_failure("object of type '{}' has no len()", type_name(value));
  return Value::integer(*length);
}

Value list(Interpreter& in, const Value& value, const Args&) {
  return Value::list(&in.heap(), collect(in.heap(), value));
}

Value first(Interpreter& in, const Value& value, const Args&) {
  Value element;
  if (iterate(in.heap(), value)->next(element)) return element;
  return Value::undefined("no first item, sequence was empty");
}

Value last(Interpreter& in, const Value& value, const Args&) {
  if (value.is(Kind::kIterator)) throw_failure("'generator' object is not reversible");
  const Values elements = collect(in.heap(), value);
  if (!elements.empty()) return elements.back();
  return Value::undefined("no last item, sequence was empty");
}

Value reverse(Interpreter& in, const Value& value, const Args&) {
  if (value.is_string()) return slice(in.heap(), value, {std::nullopt, std::nullopt, -1});
  Values elements = collect(in.heap(), value);
  std::reverse(elements.begin(), elements.end());
  const Value list = Value::list(&in.heap(), std::move(elements));
  return Value::of(Kind::kIterator, iterate(in.heap(), list));
}

// What a value is sorted and compared by: what its path leads to, text in lower case unless case
// counts.
struct Key {
  Value path = Value::none();
  bool case_sensitive = false;

  Value of(Interpreter& in, const Value& value) const {
    const Value key = path.is_none() ? value : in.path(value, path);
    if (case_sensitive || !key.is_string()) return key;
    charge_text(in.heap(), key.text());
    return in.string(to_lower(key.text()));
  }
};

Key key_of(const Args& args, std::size_t case_sensitive, std::size_t attribute) {
  Key key;
  key.case_sensitive = args.truth(case_sensitive, false);
  if (args.has(attribute)) key.path = args[attribute];
  return key;
}

// Stable, by the keys; reversed, equal ones still keep their order.
Values sorted(Interpreter& in, const Values& values, const std::vector<Value>& keys, bool reverse) {
  std::vector<std::size_t> order(values.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return reverse ? less(in.heap(), keys[b], keys[a]) : less(in.heap(), keys[a], keys[b]);
  });
  Values result;
  for (const std::size_t i : order) result.push_back(values[i]);
  return result;
}

Value sort(Interpreter& in, const Value& value, const Args& args) {
  Key key = key_of(args, 1, 2);
  std::vector<Key> keys = {key};
  if (key.path.is_string() && key.path.text().find(',') != std::string::npos) {
    keys.clear();
    for (const Value& part : split_text(in.heap(), key.path.text(), ",", -1, Side::kLeft))
      keys.push_back({part, key.case_sensitive});
  }
  const Values elements = collect(in.heap(), value);
  std::vector<Value> by;
  for (const Value& element : elements) {
    Values parts;
    for (const Key& one : keys) parts.push_back(one.of(in, element));
    by.push_back(Value::list(&in.heap(), std::move(parts)));
  }
  return Value::list(&in.heap(), sorted(in, elements, by, args.truth(0, false)));
}

Value dictsort(Interpreter& in, const Value& value, const Args& args) {
  if (!value.is(Kind::kDict)) throw_failure("'dictsort' wants a dict, not {}", type_name(value));
  const std::string by = args.text(1, "key");
  if (by != "key" && by != "value")
    throw_failure("You can only sort by either \"key\" or \"value\"");
  const Key key{Value::none(), args.truth(0, false)};
  Values pairs;
  std::vector<Value> keys;
  for (const auto& [name, element] : value.dict().entries) {
    pairs.push_back(Value::tuple(&in.heap(), {name, element}));
    keys.push_back(key.of(in, by == "key" ? name : element));
  }
  return Value::list(&in.heap(), sorted(in, pairs, keys, args.truth(2, false)));
}

Value items(Interpreter& in, const Value& value, const Args&) {
  if (value.is_undefined()) return Value::of(Kind::kIterator, iterate(in.heap(), value));
  if (!value.is(Kind::kDict)) throw_failure("Can only get item pairs from a mapping.");
  const Value view =
      Value::of(Kind::kDictView, std::make_shared<DictView>(&in.heap(), value, DictPart::kItems));
  return Value::of(Kind::kIterator, iterate(in.heap(), view));
}

Value unique(Interpreter& in, const Value& value, const Args& args) {
  const Key key = key_of(args, 0, 1);
  std::unordered_multimap<std::size_t, Value> seen;
  Values kept;
  const auto source = iterate(in.heap(), value);
  for (Value element; source->next(element);) {
    const Value by = key.of(in, element);
    const std::size_t hash = hash_of(in.heap(), by);
    const auto [begin, end] = seen.equal_range(hash);
    const bool is_known = std::any_of(
        begin, end, [&](const auto& entry) { return equals(in.heap(), entry.second, by); });
    if (is_known) continue;
    seen.emplace(hash, by);
    kept.push_back(element);
  }
  const Value list = Value::list(&in.heap(), std::move(kept));
  return Value::of(Kind::kIterator, iterate(in.heap(), list));
}

template <bool kLargest>
Value extreme(Interpreter& in, const Value& value, const Args& args) {
  const Key key = key_of(args, 0, 1);
  const auto source = iterate(in.heap(), value);
  Value best;
  if (!source->next(best)) return Value::undefined("no aggregated item, sequence was empty");
  Value best_key = key.of(in, best);
  for (Value element; source->next(element);) {
    Value element_key = key.of(in, element);
    const bool is_better =
        kLargest ? less(in.heap(), best_key, element_key) : less(in.heap(), element_key, best_key);
    if (!is_better) continue;
    best = element;
    best_key = std::move(element_key);
  }
  return best;
}

Value sum(Interpreter& in, const Value& value, const Args& args) {
  Value total = args.has(1) ? args[1] : Value::integer(0);
  if (total.is_string()) throw_failure("sum() can't sum strings [use ''.join(seq) instead]");
  const auto source = iterate(in.heap(), value);
  for (Value element; source->next(element);)
    total =
        arithmetic(in.heap(), "+", total, args.has_value(0) ? in.path(element, args[0]) : element);
  return total;
}

// Lists as a generator of them.
Value generator_of(Interpreter& in, Values lists) {
  const Value all = Value::list(&in.heap(), std::move(lists));
  return Value::of(Kind::kIterator, iterate(in.heap(), all));
}

Value batch(Interpreter& in, const Value& value, const Args& args) {
  const std::int64_t count = args.integer(0, 0);
  Values lists, row;
  const auto source = iterate(in.heap(), value);
  for (Value element; source->next(element);) {
    if (static_cast<std::int64_t>(row.size()) == count) {
      lists.push_back(Value::list(&in.heap(), std::move(row)));
      row = {};
    }
    row.push_back(element);
  }
  if (!row.empty()) {
    for (; args.has_value(1) && static_cast<std::int64_t>(row.size()) < count;
         in.heap().copy(32, static_cast<std::int64_t>(row.size()) * 32))
      row.push_back(args[1]);
    lists.push_back(Value::list(&in.heap(), std::move(row)));
  }
  return generator_of(in, std::move(lists));
}

Value slices(Interpreter& in, const Value& value, const Args& args) {
  const Values elements = collect(in.heap(), value);
  const std::int64_t n = args.integer(0, 0);
  if (n <= 0) throw_failure("'slice' wants a positive number of slices, not {}", n);
  const auto size = static_cast<std::int64_t>(elements.size());
  const std::int64_t each = size / n, longer = size % n;
  Values lists;
  std::int64_t at = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    in.heap().step();
    const std::int64_t end = at + each + (i < longer ? 1 : 0);
    Values row(elements.begin() + at, elements.begin() + end);
    if (args.has_value(1) && i >= longer) row.push_back(args[1]);
    lists.push_back(Value::list(&in.heap(), std::move(row)));
    at = end;
  }
  return generator_of(in, std::move(lists));
}

constexpr Builtin kFilters[] = {
    {"length", "", 0, length},
    {"count", "", 0, length},
    {"list", "", 0, list},
    {"first", "", 0, first},
    {"last", "", 0, last},
    {"reverse", "", 0, reverse},
    {"sort", "reverse case_sensitive attribute", 0, sort},
    {"dictsort", "case_sensitive by reverse", 0, dictsort},
    {"items", "", 0, items},
    {"unique", "case_sensitive attribute", 0, unique},
    {"min", "case_sensitive attribute", 0, extreme<false>},
    {"max", "case_sensitive attribute", 0, extreme<true>},
    {"sum", "attribute start", 0, sum},
    {"batch", "linecount fill_with", 1, batch},
    {"slice", "slices fill_with", 1, slices},
};

}  // namespace

std::span<const Builtin> sequence_filters() { return kFilters; }

}  // namespace windlass::jinja
