// What the Jinja fuzzer and the corpus tests run over untrusted templates: parse, and render a
// conversation with tools under small limits.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "src/base/check.h"
#include "src/text/jinja/interpreter.h"
#include "src/text/jinja/lexer.h"
#include "src/text/jinja/parser.h"
#include "src/text/jinja/text_form.h"

namespace windlass::testing {

struct JinjaResult {
  bool parsed = false, rendered = false;
  std::string text, error;
};

inline nlohmann::ordered_json jinja_variables() {
  return nlohmann::ordered_json::parse(R"({
    "messages": [
      {"role": "system", "content": "Be brief."},
      {"role": "user", "content": "Grüße <b> 漢字"},
      {"role": "assistant", "content": null, "tool_calls": [
        {"type": "function", "function": {"name": "f", "arguments": {"x": [1, 2.5, null, true]}}}]},
      {"role": "tool", "content": "{\"t\": 20}"}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>"})");
}

// Only a bug of ours leaves this other than by return: another exception, a failed check, or bytes
// that some value still holds when all is over (a circle of references).
inline JinjaResult run_jinja_target(std::string_view source, const jinja::Limits& limits) {
  JinjaResult result;
  try {
    const jinja::Body body = jinja::parse_template(source);
    result.parsed = true;
    jinja::Heap heap(limits);
    try {
      jinja::Interpreter interpreter(heap, 1'700'000'000);
      const nlohmann::ordered_json variables = jinja_variables();
      for (const auto& [name, value] : variables.items())
        interpreter.define(name, jinja::from_json(heap, value));
      result.text = interpreter.render(body);
      result.rendered = true;
    } catch (const jinja::Failure& failure) {
      result.error = failure.message;
    }
    WINDLASS_CHECK(heap.held_bytes() == 0, heap.held_bytes());
  } catch (const jinja::SyntaxFailure& failure) {
    WINDLASS_CHECK(failure.line >= 1, failure.line);
    result.error = failure.message;
  }
  return result;
}

// A fuzzer's: a run takes milliseconds.
inline constexpr jinja::Limits kFuzzLimits = {.max_steps = 200'000, .max_bytes = 4 << 20};

}  // namespace windlass::testing
