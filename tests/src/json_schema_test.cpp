// JSON schemas as grammars: texts accepted and refused by hand, keywords that could not act, and
// random texts of the grammar, which must be JSON of the schema.
#include "src/text/grammar/json_schema.h"

#include <functional>
#include <nlohmann/json.hpp>
#include <regex>

#include "src/base/error.h"
#include "src/text/grammar/matcher.h"
#include "src/text/sampler.h"
#include "tests/support/catch.h"
#include "tests/support/toy_tokenizer.h"

namespace windlass {
namespace {

Automaton compile(const std::string& schema) {
  return compile_grammar(json_schema_grammar(schema), "JSON schema");
}

bool accepts(const std::string& schema, const std::string& text) {
  Matcher matcher(compile(schema));
  Matcher::StateId state = matcher.restart();
  for (const char c : text) state = matcher.step(state, static_cast<std::uint8_t>(c));
  return matcher.complete(state);
}

std::string refusal(const std::string& schema) {
  try {
    compile(schema);
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kUsage);
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return error.what();
  }
  return "accepted";
}

// A random text of the schema, drawn token by token from all bytes and some longer pieces.
std::string random_text(const std::string& schema, std::uint64_t seed) {
  std::vector<std::string> pieces;
  for (int byte = 0; byte < 256; ++byte) pieces.emplace_back(1, static_cast<char>(byte));
  for (const char* piece : {"\"}", "{\"", "\": ", "\", \"", "true", "null", "12", "]}", "\n  "})
    pieces.emplace_back(piece);
  const testing::ToyTokenizer tokenizer(pieces, {});
  SamplingOptions options;
  options.seed = seed;
  options.temperature = 1.0;
  const auto n = static_cast<std::int64_t>(pieces.size());
  Sampler sampler(options, n,
                  {.context_tokens = 0,
                   .tokenizer = &tokenizer,
                   .filter = std::make_unique<TokenFilter>(compile(schema), tokenizer)});
  // Likely to end strings, lists and objects, or texts would grow without end.
  std::vector<float> logits(pieces.size(), 0.0f);
  for (const char c : {'"', '}', ']'}) logits[static_cast<std::uint8_t>(c)] = 4.0f;
  std::string text;
  for (int i = 0; i < 5000 && !sampler.finished(); ++i)
    text += tokenizer.token_bytes(sampler.sample(logits), false);
  return sampler.finished() ? text : std::string();
}

}  // namespace

TEST_CASE("values of each type are accepted, others are not") {
  CHECK(accepts(R"({"type":"boolean"})", "true"));
  CHECK_FALSE(accepts(R"({"type":"boolean"})", "null"));
  CHECK(accepts(R"({"type":"null"})", "null"));
  CHECK(accepts(R"({"type":["null","integer"]})", "-12"));
  CHECK_FALSE(accepts(R"({"type":"integer"})", "1.5"));
  CHECK_FALSE(accepts(R"({"type":"integer"})", "01"));
  CHECK(accepts(R"({"type":"number"})", "-0.25e-7"));
  CHECK_FALSE(accepts(R"({"type":"number"})", ".5"));
  CHECK(accepts(R"({"type":"string"})", R"("a\"\u00e9 é\n")"));
  CHECK_FALSE(accepts(R"({"type":"string"})", R"("\ud800")"));
  CHECK_FALSE(accepts(R"({"type":"string"})", "\"a\nb\""));
  CHECK(accepts("{}", R"({"a": [1, {"b": null}, "x"]})"));
  CHECK(accepts("true", "[]"));
}

TEST_CASE("integers keep to their range, digit by digit") {
  const auto bounds = [](int least, int most) {
    return R"({"type":"integer","minimum":)" + std::to_string(least) + R"(,"maximum":)" +
           std::to_string(most) + "}";
  };
  for (const auto& [least, most] : {std::pair(0, 0),
                                    {3, 17},
                                    {-5, 5},
                                    {-120, -9},
                                    {95, 1203},
                                    {100, 999},
                                    {-1, 0},
                                    {1, 1000}}) {
    Matcher matcher(compile(bounds(least, most)));
    for (int value = -1300; value <= 1300; ++value) {
      Matcher::StateId state = matcher.restart();
      for (const char c : std::to_string(value))
        state = matcher.step(state, static_cast<std::uint8_t>(c));
      if (matcher.complete(state) != (value >= least && value <= most)) FAIL(value);
    }
  }
  CHECK(accepts(R"({"type":"integer","exclusiveMinimum":3})", "4"));
  CHECK_FALSE(accepts(R"({"type":"integer","exclusiveMinimum":3})", "3"));
  CHECK_FALSE(accepts(R"({"type":"integer","exclusiveMaximum":3})", "3"));
  CHECK_FALSE(accepts(R"({"type":"integer","minimum":2.5})", "2"));
  CHECK(accepts(R"({"minimum":2})", "123456789"));
}

TEST_CASE("objects hold their members in order, the required ones all, others where allowed") {
  const std::string schema = R"({"type":"object","properties":
      {"a":{"type":"integer"},"b":{"type":"integer"},"c":{"type":"integer"}},"required":["b"]})";
  for (const char* text :
       {R"({"b":1})", R"({"a":1,"b":2})", R"({"b":1,"c":2})", R"({ "a": 1, "b": 2, "c": 3 })"}) {
    CHECK(accepts(schema, text));
  }
  for (const char* text : {"{}", R"({"a":1})", R"({"a":1,"c":2})", R"({"b":1,"a":2})",
                           R"({"b":1,})", R"({,"b":1})", R"({"b":1,"d":2})", R"({"b":"x"})"}) {
    CHECK_FALSE(accepts(schema, text));
  }
  const std::string open = R"({"properties":{"ab":{"type":"null"}},
      "additionalProperties":{"type":"integer"}})";
  for (const char* text : {"{}", R"({"ab":null})", R"({"ab":null,"x":1,"y":2})", R"({"a":1})",
                           R"({"abc":1})", R"({"":1,"b":2})"}) {
    CHECK(accepts(open, text));
  }
  for (const char* text :
       {R"({"ab":1})", R"({"x":null})", R"({"x":1,"ab":1})", R"({"\u0061b":1})"}) {
    CHECK_FALSE(accepts(open, text));
  }
  CHECK(accepts(R"({"type":"object","required":["x"]})", R"({"x":[]})"));
  CHECK_FALSE(accepts(R"({"type":"object","required":["x"]})", "{}"));
}

TEST_CASE("arrays keep their length and the types of their items") {
  const std::string schema =
      R"({"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":3})";
  CHECK_FALSE(accepts(schema, "[1]"));
  CHECK(accepts(schema, "[1,2]"));
  CHECK(accepts(schema, "[1, 2, 3]"));
  CHECK_FALSE(accepts(schema, "[1,2,3,4]"));
  CHECK_FALSE(accepts(schema, "[1,null]"));
  CHECK(accepts(R"({"type":"array","maxItems":0})", "[]"));
  CHECK_FALSE(accepts(R"({"type":"array","maxItems":0})", "[1]"));
  const std::string tuple =
      R"({"prefixItems":[{"type":"integer"},{"type":"null"}],"items":{"type":"boolean"},"minItems":1})";
  for (const char* text : {"[1]", "[1,null]", "[1,null,true,false]"}) CHECK(accepts(tuple, text));
  for (const char* text : {"[]", "[null]", "[1,true]", "[1,null,3]"})
    CHECK_FALSE(accepts(tuple, text));
  const std::string closed = R"({"prefixItems":[{"type":"integer"}],"items":false})";
  CHECK(accepts(closed, "[1]"));
  CHECK_FALSE(accepts(closed, "[1,2]"));
}

TEST_CASE("strings keep their length, pattern and format") {
  const std::string schema = R"({"type":"string","minLength":2,"maxLength":3})";
  CHECK_FALSE(accepts(schema, R"("a")"));
  CHECK(accepts(schema, R"("éé")"));
  CHECK(accepts(schema, R"("\n\u0041x")"));
  CHECK_FALSE(accepts(schema, R"("abcd")"));
  CHECK(accepts(R"({"pattern":"^[A-Z]{2}-\\d+$"})", R"("AB-12")"));
  CHECK_FALSE(accepts(R"({"pattern":"^[A-Z]{2}-\\d+$"})", R"("AB-12x")"));
  CHECK(accepts(R"({"pattern":"b+"})", R"("abbc")"));
  CHECK_FALSE(accepts(R"({"pattern":"b+"})", R"("ac")"));
  CHECK(accepts(R"({"pattern":"^(a|\"|\\s)*$"})", R"("a\"\t a")"));
  CHECK(accepts(R"({"format":"date"})", R"("2026-11-23")"));
  CHECK_FALSE(accepts(R"({"format":"date"})", R"("2026-11-31")"));
  CHECK(accepts(R"({"format":"date-time"})", R"("2026-11-23T05:30:59.5Z")"));
  CHECK_FALSE(accepts(R"({"format":"time"})", R"("24:00:00Z")"));
  CHECK(accepts(R"({"format":"uuid"})", R"("123e4567-e89b-12d3-a456-426614174000")"));
}

TEST_CASE("enum, const and combinations of schemas") {
  CHECK(accepts(R"({"enum":["a",1,null,{"x":[1]}]})", R"({"x":[1]})"));
  CHECK_FALSE(accepts(R"({"enum":["a",1,null]})", "2"));
  CHECK_FALSE(accepts(R"({"type":"string","enum":["a",1]})", "1"));
  CHECK(accepts(R"({"const":"é"})", "\"é\""));
  CHECK(accepts(R"({"anyOf":[{"type":"null"},{"type":"integer"}]})", "7"));
  CHECK(accepts(R"({"oneOf":[{"type":"null"},{"type":"integer"}]})", "null"));
  const std::string joined = R"({"allOf":[{"properties":{"a":{"minimum":1}},"required":["a"]},
      {"$ref":"#/$defs/b"}],"$defs":{"b":{"properties":{"a":{"maximum":3},"b":{"type":"null"}}}}})";
  CHECK(accepts(joined, R"({"a":2,"b":null})"));
  CHECK_FALSE(accepts(joined, R"({"a":4})"));
  CHECK_FALSE(accepts(joined, R"({"b":null})"));
  const std::string beside =
      R"({"type":"integer","anyOf":[{"maximum":2},{"minimum":8}],"minimum":0})";
  CHECK(accepts(beside, "1"));
  CHECK(accepts(beside, "9"));
  CHECK_FALSE(accepts(beside, "5"));
  CHECK_FALSE(accepts(beside, "-1"));
  // An alternative that nothing satisfies leaves the others.
  CHECK(accepts(R"({"type":"integer","anyOf":[{"type":"null"},{"minimum":8}]})", "9"));
}

TEST_CASE("a schema may refer to itself") {
  const std::string tree = R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":
      {"value":{"type":"integer"},"children":{"type":"array","items":{"$ref":"#/$defs/node"}}},
      "required":["value"]}}})";
  CHECK(accepts(tree, R"({"value":1,"children":[{"value":2},{"value":3,"children":[]}]})"));
  CHECK_FALSE(accepts(tree, R"({"value":1,"children":[{}]})"));
  CHECK_THAT(refusal(R"({"$ref":"#"})"), Contains("left-recursive"));
  CHECK_THAT(refusal(R"({"properties":{"a":{"$ref":"#"}},"required":["a"]})"),
             Contains("no text can satisfy it"));
}

TEST_CASE("what cannot be met or could not act is refused by name and place") {
  const std::pair<const char*, const char*> cases[] = {
      {"{", "JSON schema: "},
      {"3", "#: 3 is no schema"},
      {"false", "#: false accepts nothing"},
      {R"({"type":"strnig"})", "#: unknown type \"strnig\""},
      {R"({"properties":{"a":{"multipleOf":3}}})", "#/properties/a: keyword multipleOf"},
      {R"({"type":"integer","minLength":1})", "minLength cannot act on type \"integer\""},
      {R"({"type":"string","minimum":1})", "minimum cannot act on type \"string\""},
      {R"({"type":"number","minimum":0.2,"maximum":0.8})", "no whole number"},
      {R"({"type":"integer","minimum":3,"maximum":2})", "no integer is from 3 to 2"},
      {R"({"minLength":3,"maxLength":2})", "minLength, maxLength 3 and 2 exclude each other"},
      {R"({"minItems":3,"maxItems":2})", "minItems, maxItems 3 and 2"},
      {R"({"minItems":-1})", "minItems -1 is no count"},
      {R"({"type":"string","const":1})", "none of its values fits"},
      {R"({"enum":[]})", "enum is no list of at least one"},
      {R"({"enum":[1],"minimum":0})", "minimum beside a list of values"},
      {R"({"allOf":[{"type":"null"},{"type":"string"}]})", "exclude each other"},
      {R"({"anyOf":[{"minimum":3,"maximum":2}]})", "#/anyOf/0: no whole number"},
      {R"({"$ref":"#/$defs/x"})", "$ref #/$defs/x points to nothing"},
      {R"({"$ref":"other.json"})", "leads out of the document"},
      {R"x({"pattern":"(?=x)"})x", "(?"},
      {R"({"pattern":"a*?"})", "lazy"},
      {R"({"pattern":"\\bx"})", "\\b"},
      {R"({"pattern":"(a"})", "a group without )"},
      {R"({"format":"email"})", "format email is not supported; there are date"},
      {R"({"items":[{"type":"null"}]})", "use prefixItems"},
      {R"({"properties":{"a":false},"required":["a"]})", "#/properties/a: false accepts nothing"},
      {R"({"additionalProperties":false,"required":["a"]})", "#/properties/a: false"},
  };
  for (const auto& [schema, says] : cases) {
    INFO(schema);
    CHECK_THAT(refusal(schema), Contains(says));
  }
}

TEST_CASE("bounded numbers stay within their bounds") {
  const std::string unit = R"({"type":"number","minimum":0,"exclusiveMaximum":1})";
  for (const char* text : {"0", "0.25", "0.01", "0.9999999"}) CHECK(accepts(unit, text));
  for (const char* text : {"1", "-0.5", "1.5", "0.0", "2", "1e-1"})
    CHECK_FALSE(accepts(unit, text));
  const std::string below = R"({"type":"number","maximum":-2})";
  for (const char* text : {"-2", "-2.5", "-300"}) CHECK(accepts(below, text));
  for (const char* text : {"-1.5", "0", "2.5", "-1"}) CHECK_FALSE(accepts(below, text));
  const std::string around = R"({"type":"number","exclusiveMinimum":-1.5,"maximum":2})";
  for (const char* text : {"-1", "-0.5", "0", "0.5", "1.75", "2"}) CHECK(accepts(around, text));
  for (const char* text : {"-1.5", "-1.25", "-2", "2.5", "3"}) CHECK_FALSE(accepts(around, text));
}

TEST_CASE("annotations and bounds as generators of schemas write them are taken") {
  // Pydantic, Zod and OpenAPI.
  const std::string kind =
      R"({"description":"which","allOf":[{"$ref":"#/$defs/K"}],"$defs":{"K":{"title":"K",)"
      R"("description":"An enumeration.","enum":["a","b"],"type":"string"}}})";
  CHECK(accepts(kind, "\"a\""));
  CHECK_FALSE(accepts(kind, "\"c\""));
  const std::string whole =
      R"({"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991})";
  CHECK(accepts(whole, "-9007199254740991"));
  CHECK_FALSE(accepts(whole, "9007199254740992"));
  CHECK(accepts(R"({"type":"integer","maximum":18446744073709551615})", "12"));
  CHECK(accepts(R"({"type":"integer","format":"int64","x-order":1})", "7"));
  CHECK(accepts(R"({"type":"array","prefixItems":[],"items":{"type":"null"}})", "[null]"));
}

TEST_CASE("two choices joined by allOf hold both") {
  const std::string schema =
      R"({"anyOf":[{"enum":[1,2,3]},{"enum":[7]}],"allOf":[{"anyOf":[{"enum":[2,7]},{"enum":[3]}]}]})";
  for (const char* text : {"2", "3", "7"}) CHECK(accepts(schema, text));
  CHECK(!accepts(schema, "1"));
}

TEST_CASE("hostile schemas are bounded") {
  std::string deep;
  for (int i = 0; i < 10000; ++i) deep += R"({"items":)";
  CHECK_THAT(refusal(deep + "true" + std::string(10000, '}')), Contains("nested more than"));
  // Each part trebles the alternatives.
  std::string parts;
  for (int i = 0; i < 9; ++i) {
    parts += fmt::format(R"({{"anyOf":[{{"minimum":{}}},{{"maximum":{}}},{{"minimum":{}}}]}},)", i,
                         900 + i, 100 + i);
  }
  CHECK_THAT(refusal("{\"allOf\":[" + parts + "{}]}"), Contains("schemas in all"));
  CHECK_THAT(refusal(R"({"type":"string","minLength":100000,"maxLength":9999999})"),
             Contains("is no count"));
  // 10^12 characters, in four small rules.
  CHECK(refusal(R"x({"pattern":"((((a{1000}){1000}){1000}){1000})"})x") == "accepted");
  CHECK_THAT(refusal(R"({"allOf":[{"$ref":"#"}]})"), Contains("JSON schema"));
  CHECK_THAT(refusal(std::string(300 * 1024, ' ')), Contains("too many"));
}

TEST_CASE("whatever is sampled under a schema is JSON of the schema") {
  const std::string schema = R"({"type":"object","properties":{
      "id":{"type":"integer","minimum":-20,"maximum":300},
      "tags":{"type":"array","items":{"type":"string","maxLength":4},"maxItems":3},
      "kind":{"enum":["a","b"]},
      "code":{"pattern":"^[a-f]{2}\\d$"},
      "more":{"anyOf":[{"type":"null"},{"$ref":"#"}]}},
      "required":["id","kind"],"additionalProperties":{"type":"number"}})";
  const std::function<void(const nlohmann::json&)> check = [&](const nlohmann::json& value) {
    REQUIRE(value.is_object());
    REQUIRE(value.at("id").is_number_integer());
    CHECK((value["id"] >= -20 && value["id"] <= 300));
    CHECK((value.at("kind") == "a" || value["kind"] == "b"));
    for (const auto& [key, member] : value.items()) {
      if (key == "tags") {
        REQUIRE(member.is_array());
        CHECK(member.size() <= 3);
        for (const auto& tag : member) CHECK(tag.is_string());
      } else if (key == "code") {
        CHECK(std::regex_match(member.get<std::string>(), std::regex("[a-f]{2}[0-9]")));
      } else if (key == "more") {
        if (!member.is_null()) check(member);
      } else if (key != "id" && key != "kind") {
        CHECK(member.is_number());
      }
    }
  };
  int n = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const std::string text = random_text(schema, seed);
    if (text.empty()) continue;
    INFO(text);
    const auto value = nlohmann::json::parse(text, nullptr, false);
    REQUIRE_FALSE(value.is_discarded());
    check(value);
    ++n;
  }
  CHECK(n > 30);
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const std::string text = random_text("{}", seed);
    INFO(text);
    if (!text.empty()) CHECK_FALSE(nlohmann::json::parse(text, nullptr, false).is_discarded());
  }
}

}  // namespace windlass
