// Methods of dicts, lists, tuples and loops; global functions.
#include <algorithm>
#include <array>
#include <cmath>

#include "src/text/jinja/interpreter.h"
#include "src/text/jinja/loop.h"
#include "src/text/jinja/text_form.h"

namespace windlass::jinja {

const Builtin* find_string_method(std::string_view name);

namespace {

using Args = BoundArguments;

template <DictPart kPart>
Value dict_view(Interpreter& in, const Value& self, const Args&) {
  return Value::of(Kind::kDictView, std::make_shared<DictView>(&in.heap(), self, kPart));
}

Value dict_get(Interpreter& in, const Value& self, const Args& args) {
  const Value* found = self.dict().find(in.heap(), args[0]);
  return found != nullptr ? *found : args.has(1) ? args[1] : Value::none();
}

Value same(Interpreter&, const Value& self, const Args&) { return self; }

Value list_index(Interpreter& in, const Value& self, const Args& args) {
  const Values& items = self.items();
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (equals(in.heap(), items[i], args[0])) return Value::integer(static_cast<std::int64_t>(i));
  }
  throw_failure("{} is not in list", to_repr(in.heap(), args[0]));
}

Value list_count(Interpreter& in, const Value& self, const Args& args) {
  const Values& items = self.items();
  return Value::integer(std::count_if(items.begin(), items.end(), [&](const Value& item) {
    return equals(in.heap(), item, args[0]);
  }));
}

Value loop_cycle(Interpreter&, const Value& self, const Args& args) {
  const Values& values = args.raw().positional;
  if (values.empty()) throw_failure("no items for cycling given");
  const auto at = static_cast<std::size_t>(self.object<Loop>().index0());
  return values[at % values.size()];
}

Value loop_changed(Interpreter& in, const Value& self, const Args& args) {
  return Value::boolean(self.object<Loop>().changed(in.heap(), args.raw().positional));
}

Value range_function(Interpreter& in, const Value&, const Args& args) {
  const bool one = !args.has(1);
  const std::int64_t start = one ? 0 : args.integer(0, 0);
  const std::int64_t stop = args.integer(one ? 0 : 1, 0);
  const std::int64_t step = args.integer(2, 1);
  if (step == 0) throw_failure("range() arg 3 must not be zero");
  const bool is_empty = step > 0 ? start >= stop : start <= stop;
  const auto low = static_cast<std::uint64_t>(step > 0 ? start : stop);
  const auto high = static_cast<std::uint64_t>(step > 0 ? stop : start);
  const auto stride =
      step > 0 ? static_cast<std::uint64_t>(step) : 0 - static_cast<std::uint64_t>(step);
  const std::uint64_t span = is_empty ? 0 : high - low;  // two int64 may be further apart than one
  const std::uint64_t count = span / stride + (span % stride != 0 ? 1 : 0);
  if (count > static_cast<std::uint64_t>(kMaxRange))
    throw_failure("range too big: the sandbox takes at most {} elements", kMaxRange);
  const auto size = static_cast<std::int64_t>(count);
  return Value::of(Kind::kRange, std::make_shared<Range>(&in.heap(), start, size, step, stop));
}

Value dict_function(Interpreter& in, const Value&, const Args& args) {
  Heap& heap = in.heap();
  const Arguments& given = args.raw();
  std::vector<Dict::Entry> entries;
  if (given.positional.size() > 1)
    throw_failure("dict expected at most 1 argument, got {}", given.positional.size());
  if (!given.positional.empty()) {
    const Value& source = given.positional[0];
    if (source.is(Kind::kDict)) {
      entries = source.dict().entries;
      heap.step(static_cast<std::int64_t>(entries.size()));
    } else {
      for (const Value& pair : collect(heap, source)) {
        Values both = collect(heap, pair);
        if (both.size() != 2) throw_failure("dict() wants pairs of key and value");
        entries.emplace_back(std::move(both[0]), std::move(both[1]));
      }
    }
  }
  for (const auto& [name, value] : given.named)
    entries.emplace_back(Value::string(&heap, name), value);
  return make_dict(heap, std::move(entries));
}

Value namespace_function(Interpreter& in, const Value&, const Args& args) {
  std::unordered_map<std::string, Value> attributes;
  const Value made = dict_function(in, {}, args);
  for (const auto& [key, value] : made.dict().entries) {
    if (key.is_string()) attributes[key.text()] = value;
  }
  return in.make_namespace(std::move(attributes));
}

Value raise_exception(Interpreter& in, const Value&, const Args& args) {
  std::string message = to_str(in.heap(), args[0]);
  if (message.empty()) message = "the template raises an exception and does not say why";
  throw Failure{ErrorCode::kUsage, std::move(message)};
}

Value strftime_now(Interpreter& in, const Value&, const Args& args) {
  const std::string format = args.text(0, "");
  if (format.empty()) return in.string("");
  const std::time_t now = in.now();
  std::tm local{};
  ::localtime_r(&now, &local);
  // %c and the like give some 30 bytes for two; none gives more.
  std::array<char, 4096> text;
  if (format.size() > text.size() / 32)
    throw_unsupported("strftime_now with a format of {} bytes", format.size());
  return in.string({text.data(), std::strftime(text.data(), text.size(), format.c_str(), &local)});
}

constexpr Builtin kDictMethods[] = {
    {"items", "", 0, dict_view<DictPart::kItems>},
    {"keys", "", 0, dict_view<DictPart::kKeys>},
    {"values", "", 0, dict_view<DictPart::kValues>},
    {"get", "key default", 1, dict_get},
    {"copy", "", 0, same},
};

constexpr Builtin kListMethods[] = {
    {"index", "value", 1, list_index},
    {"count", "value", 1, list_count},
    {"copy", "", 0, same},
};

constexpr Builtin kLoopMethods[] = {
    {"cycle", "*", 0, loop_cycle},
    {"changed", "*", 0, loop_changed},
};

constexpr Builtin kGlobals[] = {
    {"range", "start stop step", 1, range_function},
    {"dict", "*", 0, dict_function},
    {"namespace", "*", 0, namespace_function},
    {"raise_exception", "message", 1, raise_exception},
    {"strftime_now", "format", 1, strftime_now},
};

template <std::size_t n>
const Builtin* find_in(const Builtin (&rows)[n], std::string_view name) {
  const auto* row = std::find_if(std::begin(rows), std::end(rows),
                                 [&](const Builtin& builtin) { return builtin.name == name; });
  return row == std::end(rows) ? nullptr : row;
}

}  // namespace

const Builtin* find_method(Kind kind, std::string_view name) {
  switch (kind) {
    case Kind::kString:
      return find_string_method(name);
    case Kind::kDict:
      return find_in(kDictMethods, name);
    case Kind::kList:
      return find_in(kListMethods, name);
    case Kind::kTuple:
      return name == "copy" ? nullptr : find_in(kListMethods, name);
    case Kind::kLoop:
      return find_in(kLoopMethods, name);
    default:
      return nullptr;
  }
}

const Builtin* find_global(std::string_view name) { return find_in(kGlobals, name); }

}  // namespace windlass::jinja
