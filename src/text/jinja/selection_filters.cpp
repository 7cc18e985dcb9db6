// Filters that take elements one by one: what they give is made as it is asked for.
#include <algorithm>

#include "src/text/jinja/filter_tables.h"
#include "src/text/jinja/interpreter.h"

namespace windlass::jinja {
namespace {

using Args = BoundArguments;

Arguments without_first(const Arguments& given, std::size_t n) {
  Arguments rest;
  rest.positional.assign(given.positional.begin() + static_cast<std::ptrdiff_t>(n),
                         given.positional.end());
  rest.named = given.named;
  return rest;
}

int deepest_argument(const Arguments& arguments) {
  int depth = deepest(arguments.positional);
  for (const auto& [name, value] : arguments.named) depth = std::max(depth, value.depth());
  return depth;
}

// Elements of value; none of a false one, whatever its type (Jinja's generators ask first).
std::shared_ptr<Iterator> elements_of(Interpreter& in, const Value& value) {
  return is_true(value) ? iterate(in.heap(), value) : iterate(in.heap(), Value());
}

int depth_of(const Value& value, const Arguments& arguments) {
  return std::max(value.depth() + 1, deepest_argument(arguments));
}

std::string filter_name(const Arguments& given, std::size_t i, std::string_view what) {
  if (given.positional.size() <= i)
    throw_failure("'{}' needs the name of a filter or attribute", what);
  if (!given.positional[i].is_string())
    throw_failure("'{}': the name must be a string, not {}", what, type_name(given.positional[i]));
  return given.positional[i].text();
}

Value map_attribute(Interpreter& in, const Value& value, const Arguments& given) {
  for (const auto& [name, argument] : given.named) {
    if (name != "attribute" && name != "default") throw_failure("'map' has no argument '{}'", name);
  }
  const Value attribute = *given.find("attribute");
  const Value otherwise = given.find("default") != nullptr ? *given.find("default") : Value::none();
  const auto source = elements_of(in, value);
  return make_iterator(in.heap(), depth_of(value, given),
                       [&in, source, attribute, otherwise](Value& element) {
                         if (!source->next(element)) return false;
                         element = in.path(element, attribute, &otherwise);
                         return true;
                       });
}

Value map(Interpreter& in, const Value& value, const Args& args) {
  const Arguments& given = args.raw();
  if (given.positional.empty() && given.find("attribute") != nullptr)
    return map_attribute(in, value, given);
  const std::string name = filter_name(given, 0, "map");
  const auto source = elements_of(in, value);
  return make_iterator(in.heap(), depth_of(value, given),
                       [&in, source, name, rest = without_first(given, 1)](Value& element) {
                         if (!source->next(element)) return false;
                         element = in.filter(name, element, rest);
                         return true;
                       });
}

// select, reject (kAttribute false); selectattr, rejectattr: whose attribute holds, or not.
template <bool kAttribute, bool kWanted>
Value select(Interpreter& in, const Value& value, const Args& args) {
  const Arguments& given = args.raw();
  constexpr std::size_t kTestAt = kAttribute ? 1 : 0;
  if (kAttribute && given.positional.empty()) throw_failure("missing parameter for attribute name");
  const Value path = kAttribute ? given.positional[0] : Value::none();
  const bool has_test = given.positional.size() > kTestAt;
  const std::string name = has_test ? filter_name(given, kTestAt, "select") : "";
  const Arguments rest = has_test ? without_first(given, kTestAt + 1) : Arguments{};
  const auto source = elements_of(in, value);
  return make_iterator(in.heap(), depth_of(value, given), [=, &in](Value& element) {
    while (source->next(element)) {
      const Value tested = kAttribute ? in.path(element, path) : element;
      const bool holds = has_test ? in.test(name, tested, rest) : is_true(tested);
      if (holds == kWanted) return true;
    }
    return false;
  });
}

// Tuples of the grouper and the list of its elements. Jinja's also have names for the two.
Value groupby(Interpreter& in, const Value& value, const Args& args) {
  Arguments sort_arguments;
  sort_arguments.named.emplace_back("attribute", args[0]);
  sort_arguments.named.emplace_back("case_sensitive", Value::boolean(args.truth(2, false)));
  if (args.has_value(1)) throw_unsupported("'groupby' with a default");
  const Value ordered = in.filter("sort", value, sort_arguments);
  const bool case_sensitive = args.truth(2, false);
  const auto key_of = [&](const Value& element) {
    const Value key = in.path(element, args[0]);
    return case_sensitive || !key.is_string() ? key : in.filter("lower", key, {});
  };
  Values groups, members;
  const auto close = [&] {
    if (members.empty()) return;
    Value key = in.path(members[0], args[0]);
    Value list = Value::list(&in.heap(), std::move(members));
    groups.push_back(Value::tuple(&in.heap(), {std::move(key), std::move(list)}));
    members = {};
  };
  for (const Value& element : ordered.items()) {
    if (!members.empty() && !equals(in.heap(), key_of(members[0]), key_of(element))) close();
    members.push_back(element);
  }
  close();
  return Value::list(&in.heap(), std::move(groups));
}

Value attr(Interpreter& in, const Value& value, const Args& args) {
  const std::string name = args.text(0, "");
  // Of a dict, an attribute is a method, never an element.
  if (value.is(Kind::kDict) && find_method(Kind::kDict, name) == nullptr)
    return Value::undefined(fmt::format("'dict object' has no attribute '{}'", name));
  return in.attribute(value, name);
}

constexpr Builtin kFilters[] = {
    {"map", "*", 0, map},
    {"select", "*", 0, select<false, true>},
    {"reject", "*", 0, select<false, false>},
    {"selectattr", "*", 0, select<true, true>},
    {"rejectattr", "*", 0, select<true, false>},
    {"groupby", "attribute default case_sensitive", 1, groupby},
    {"attr", "name", 1, attr},
};

}  // namespace

std::span<const Builtin> selection_filters() { return kFilters; }

}  // namespace windlass::jinja
