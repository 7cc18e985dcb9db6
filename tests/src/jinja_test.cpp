// The Jinja engine against jinja2's own results (3.1.6, in the environment of chat templates).
#include <fstream>
#include <nlohmann/json.hpp>

#include "src/base/error.h"
#include "src/text/jinja/template.h"
#include "tests/support/catch.h"

namespace windlass::jinja {
namespace {

std::string render(const std::string& source, const char* variables = "{}",
                   const Limits& limits = {}) {
  try {
    return Template(source, "t")
        .render(nlohmann::ordered_json::parse(variables), 1'700'000'000, limits);
  } catch (const Error& error) {
    return std::string("! ") + error.what();
  }
}

}  // namespace

TEST_CASE("each golden feature of the language gives what jinja2 gives") {
  std::ifstream lines(WINDLASS_SOURCE_DIR "/tests/golden/chat_templates/jinja_features.jsonl");
  int n_rows = 0;
  for (std::string line; std::getline(lines, line); ++n_rows) {
    const auto row = nlohmann::ordered_json::parse(line);
    INFO(row["template"]);
    CHECK(render(row["template"], row["context"].dump().c_str()) ==
          row["expected"].get<std::string>());
  }
  CHECK(n_rows == 28);
}

TEST_CASE("expressions give what jinja2 gives") {
  // tests/corpus/make_jinja_cases.py writes this file by running jinja2 itself.
  std::ifstream file(WINDLASS_SOURCE_DIR "/tests/golden/chat_templates/jinja2_cases.json");
  const auto cases = nlohmann::ordered_json::parse(file);
  const std::string variables = cases["variables"].dump();
  REQUIRE(cases["cases"].size() > 150);
  for (const auto& row : cases["cases"]) {
    INFO(row["template"]);
    const std::string result = render(row["template"], variables.c_str());
    if (row["expected"].is_null()) {
      CHECK(result.starts_with("! t, line "));
    } else {
      CHECK(result == row["expected"].get<std::string>());
    }
  }
}

TEST_CASE("a template is stopped at its limit of steps, memory and depth") {
  CHECK(render("{% for i in range(1000) %}{% endfor %}", "{}", {.max_steps = 500}) ==
        "! t, line 1: it takes more than 500 steps");
  CHECK(render("{{ 'x' * 100000 }}", "{}", {.max_bytes = 1000}) ==
        "! t, line 1: it needs more than 1000 bytes of memory");
  CHECK_THAT(render("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
             Contains("recurses deeper"));
  CHECK(render("{{ 'x' * 900 }}", "{}", {.max_bytes = 4000}) == std::string(900, 'x'));
}

TEST_CASE("dates are those of the moment that is given") {
  CHECK(render("{{ strftime_now('%Y') }}") == "2023");
}

TEST_CASE("rendering the same template again begins anew") {
  const Template once("{% set ns = namespace(n=x) %}{% set ns.n = ns.n + 1 %}{{ ns.n }}", "t");
  for (int i = 0; i < 3; ++i) CHECK(once.render({{"x", i}}, 0) == std::to_string(i + 1));
}

}  // namespace windlass::jinja
