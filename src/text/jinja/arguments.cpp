#include "src/text/jinja/arguments.h"

#include <algorithm>

namespace windlass::jinja {
namespace {

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

}  // namespace

const Value* Arguments::find(std::string_view name) const {
  for (const auto& [given, value] : named) {
    if (given == name) return &value;
  }
  return nullptr;
}

BoundArguments::BoundArguments(const Builtin& builtin, const Arguments& given)
    : builtin_(builtin), raw_(given) {
  if (builtin.parameters == "*") return;
  const auto names = words_of(builtin.parameters);
  if (given.positional.size() > names.size()) {
    throw_failure("'{}' takes at most {} arguments, not {}", builtin.name, names.size(),
                  given.positional.size());
  }
  values_ = given.positional;
  values_.resize(names.size());
  given_.assign(names.size(), false);
  std::fill_n(given_.begin(), given.positional.size(), true);
  for (const auto& [name, value] : given.named) {
    const std::size_t i = index_of(name);
    if (given_[i]) throw_failure("'{}' got its argument '{}' twice", builtin.name, name);
    values_[i] = value;
    given_[i] = true;
  }
  for (std::size_t i = 0; i < builtin.required; ++i) {
    if (!given_[i]) throw_failure("'{}' needs the argument '{}'", builtin.name, names[i]);
  }
}

std::string_view BoundArguments::parameter_name(std::size_t i) const {
  return words_of(builtin_.parameters)[i];
}

std::size_t BoundArguments::index_of(std::string_view name) const {
  const auto names = words_of(builtin_.parameters);
  const auto it = std::find(names.begin(), names.end(), name);
  if (it == names.end()) throw_failure("'{}' has no argument '{}'", builtin_.name, name);
  return static_cast<std::size_t>(it - names.begin());
}

std::int64_t BoundArguments::integer(std::size_t i, std::int64_t otherwise) const {
  if (!has(i)) return otherwise;
  if (!values_[i].is_integral()) {
    throw_failure("'{}': '{}' must be an integer, not {}", builtin_.name, parameter_name(i),
                  type_name(values_[i]));
  }
  return values_[i].to_int();
}

bool BoundArguments::truth(std::size_t i, bool otherwise) const {
  return has(i) ? is_true(values_[i]) : otherwise;
}

std::string BoundArguments::text(std::size_t i, std::string_view otherwise) const {
  if (!has(i)) return std::string(otherwise);
  if (!values_[i].is_string()) {
    throw_failure("'{}': '{}' must be a string, not {}", builtin_.name, parameter_name(i),
                  type_name(values_[i]));
  }
  return values_[i].text();
}

}  // namespace windlass::jinja
