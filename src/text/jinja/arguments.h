// Arguments of a call: as given, and sorted to a built-in's parameters.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/text/jinja/value.h"

namespace windlass::jinja {

struct Arguments {
  Values positional;
  std::vector<std::pair<std::string, Value>> named;
  // Null when absent.
  const Value* find(std::string_view name) const;
};

class Interpreter;
class BoundArguments;

// A filter, test, method or global function.
struct Builtin {
  std::string_view name;
  // Names between blanks, "separators indent"; "*": any arguments, seen through raw().
  std::string_view parameters;
  std::size_t required;
  // self: what is filtered or tested, or the method's object.
  Value (*call)(Interpreter& interpreter, const Value& self, const BoundArguments& arguments);
};

class BoundArguments {
 public:
  // Failure for one too many, an unknown name, or one that is missing.
  BoundArguments(const Builtin& builtin, const Arguments& given);

  bool has(std::size_t i) const { return i < given_.size() && given_[i]; }
  // Given and not None.
  bool has_value(std::size_t i) const { return has(i) && !values_[i].is_none(); }
  // Undefined when not given.
  const Value& operator[](std::size_t i) const { return values_[i]; }
  const Arguments& raw() const { return raw_; }

  // With its default; Failure "'indent': 'width' must be an integer" for another type.
  std::int64_t integer(std::size_t i, std::int64_t otherwise) const;
  bool truth(std::size_t i, bool otherwise) const;
  // By value, and as Python's str() of what is given is not wanted, a string it must be.
  std::string text(std::size_t i, std::string_view otherwise) const;

 private:
  std::string_view parameter_name(std::size_t i) const;
  std::size_t index_of(std::string_view name) const;

  const Builtin& builtin_;
  const Arguments& raw_;
  Values values_;
  std::vector<bool> given_;
};

// Null when there is none of that name.
const Builtin* find_filter(std::string_view name);
const Builtin* find_test(std::string_view name);
const Builtin* find_global(std::string_view name);
// Methods of strings, lists, tuples, dicts and loops.
const Builtin* find_method(Kind kind, std::string_view name);

}  // namespace windlass::jinja
