#include "src/text/jinja/template.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "src/base/check.h"
#include "src/text/jinja/interpreter.h"
#include "src/text/jinja/lexer.h"
#include "src/text/jinja/parser.h"
#include "src/text/jinja/text_form.h"

namespace windlass::jinja {
namespace {

// Messages are one line, whatever the template puts into raise_exception.
[[noreturn]] void fail_at(ErrorCode code, const std::string& name, int line, std::string message) {
  std::replace_if(
      message.begin(), message.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  fail(code, "{}, line {}: {}", name, line, message);
}

}  // namespace

struct Template::Tree {
  Body body;
};

Template::Template(std::string_view source, std::string name) : name_(std::move(name)) {
  try {
    tree_ = std::make_unique<const Tree>(Tree{parse_template(source)});
  } catch (const SyntaxFailure& failure) {
    fail_at(failure.unsupported ? ErrorCode::kUnsupported : ErrorCode::kBadFile, name_,
            failure.line, failure.message);
  }
}

Template::~Template() = default;
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;

std::string Template::render(const nlohmann::ordered_json& variables, std::time_t now,
                             const Limits& limits) const {
  WINDLASS_CHECK(variables.is_object());
  Heap heap(limits);
  Interpreter interpreter(heap, now);
  try {
    for (const auto& [name, value] : variables.items())
      interpreter.define(name, from_json(heap, value));
    return interpreter.render(tree_->body);
  } catch (const Failure& failure) {
    fail_at(failure.code, name_, interpreter.line(), failure.message);
  }
}

}  // namespace windlass::jinja
