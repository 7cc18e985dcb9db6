// The generation loop over a reference model whose greedy tokens are known, with a vocabulary that
// the test makes up.
#include "pipeline/generator.h"

#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "src/base/error.h"
#include "tests/pipeline/golden_model.h"
#include "tests/support/catch.h"
#include "tests/support/tiny_model.h"

namespace windlass {
namespace {

using namespace windlass::test;

// Token i of the greedy continuation has the i-th text.
class FakeTokenizer : public Tokenizer {
 public:
  FakeTokenizer(const std::vector<std::int32_t>& ids, const std::vector<std::string>& texts) {
    for (std::size_t i = 0; i < texts.size(); ++i) texts_[ids[i]] = texts[i];
  }
  std::vector<std::int32_t> encode(std::string_view, const TokenizeOptions&) const override {
    return {};
  }
  std::string_view token_bytes(std::int32_t id, bool) const override {
    const auto found = texts_.find(id);
    return found == texts_.end() ? std::string_view(".") : std::string_view(found->second);
  }
  std::int32_t n_vocab() const override { return 512; }
  std::optional<std::int32_t> bos_id() const override { return std::nullopt; }
  std::optional<std::int32_t> eos_id() const override { return end; }
  bool adds_bos() const override { return false; }
  bool is_end_of_generation(std::int32_t id) const override { return end == id; }
  std::optional<std::int32_t> special_id(std::string_view) const override { return std::nullopt; }
  std::int64_t size_bytes() const override { return 0; }

  std::optional<std::int32_t> end;

 private:
  std::map<std::int32_t, std::string> texts_;
};

struct Generation {
  explicit Generation(const std::vector<std::string>& texts = {})
      : greedy(nlohmann::json::parse(windlass::testing::read_file(
            golden_folder("llama") + "/golden.json"))["prompts"][0]["greedy"]
                   .get<std::vector<std::int32_t>>()),
        tokenizer(greedy, texts) {
    options.max_tokens = 8;
  }
  GenerateResult run(const std::function<bool()>& interrupted = {},
                     std::int64_t context_tokens = 128) {
    const Model model = golden_model("llama");
    Engine engine(model, exact_options(context_tokens), test_profile());
    SamplingOptions sampling;
    sampling.temperature = 0;
    Sampler sampler(sampling, model.spec.n_vocab);
    const auto listen = [&](std::string_view text) { pieces.emplace_back(text); };
    return generate(engine, tokenizer, sampler, golden_ids("llama", 0), options, listen,
                    interrupted, {});
  }
  std::vector<std::int32_t> first(std::size_t n) const {
    return {greedy.begin(), greedy.begin() + static_cast<std::ptrdiff_t>(n)};
  }

  std::vector<std::int32_t> greedy;
  FakeTokenizer tokenizer;
  GenerateOptions options;
  std::vector<std::string> pieces;
};

TEST_CASE("greedy generation gives the reference's tokens") {
  Generation g;
  g.options.max_tokens = 32;
  const GenerateResult result = g.run();
  CHECK(result.ids == g.greedy);
  CHECK(result.reason == FinishReason::kLength);
  CHECK(result.ttft_s > 0);
}

TEST_CASE("as many tokens come as were asked for: none, one, or until the context is full") {
  Generation g;
  SECTION("none") {
    g.options.max_tokens = 0;
    CHECK(g.run().ids.empty());
    CHECK(g.pieces.empty());
  }
  SECTION("one") {
    g.options.max_tokens = 1;
    CHECK(g.run().ids == g.first(1));
  }
  SECTION("until the context is full") {
    g.options.max_tokens = -1;
    const GenerateResult result = g.run({}, 64);  // the prompt has 48
    CHECK(result.ids == g.first(64 - 48 + 1));    // the last one is not fed
    CHECK(result.reason == FinishReason::kLength);
  }
}

TEST_CASE("a stop string that spans tokens ends the text before it") {
  Generation g({"one ", "tw", "o ", "##", "#EN", "D# more", " text"});
  g.options.stop = {"###END#"};
  const GenerateResult result = g.run();
  CHECK(result.text == "one two ");
  CHECK(result.reason == FinishReason::kStop);
  CHECK(result.ids == g.first(6));
  std::string shown;
  for (const std::string& piece : g.pieces) shown += piece;
  CHECK(shown == result.text);
}

TEST_CASE("text that only began like a stop string is shown in the end") {
  Generation g({"a", "##", "#EN", "X", "b", "##", "#E", "N"});
  g.options.stop = {"###END#"};
  const GenerateResult result = g.run();
  CHECK(result.text == "a###ENXb###EN");
  CHECK(result.reason == FinishReason::kLength);
  REQUIRE(g.pieces.size() >= 3);
  CHECK(g.pieces[0] == "a");
  CHECK(g.pieces[1] == "###ENX");  // held back until it could not be the stop string
}

TEST_CASE("the earliest of several stop strings counts") {
  Generation g({"ab", "cd", "ef"});
  g.options.stop = {"ef", "cde", "bcd"};
  const GenerateResult result = g.run();
  CHECK(result.text == "a");
  CHECK(result.ids == g.first(2));
}

TEST_CASE("an empty stop string is refused") {
  Generation g;
  g.options.stop = {"x", ""};
  CHECK_THROWS_AS(g.run(), Error);
}

TEST_CASE("the end token ends generation and is no part of it, unless it is ignored") {
  Generation g({"a", "b", "c", "d", "e", "f", "g", "h"});
  g.tokenizer.end = g.greedy[3];
  SECTION("heeded") {
    const GenerateResult result = g.run();
    CHECK(result.ids == g.first(3));
    CHECK(result.text == "abc");
    CHECK(result.reason == FinishReason::kStop);
  }
  SECTION("ignored") {
    g.options.ignore_eos = true;
    const GenerateResult result = g.run();
    CHECK(result.ids == g.first(8));
    CHECK(result.reason == FinishReason::kLength);
  }
}

TEST_CASE("a character that spans tokens comes whole, an unfinished one as U+FFFD") {
  Generation g({"x", "\xE2", "\x82", "\xAC", "y", "z", "w", "\xE2\x82"});
  const GenerateResult result = g.run();
  CHECK(result.text == "x\xE2\x82\xACyzw\xEF\xBF\xBD");
  REQUIRE(g.pieces.size() >= 2);
  CHECK(g.pieces[1].substr(0, 3) == "\xE2\x82\xAC");
}

TEST_CASE("an interrupt ends generation with what there is") {
  Generation g({"a", "b", "c", "d", "e", "f", "g", "h"});
  int asked = 0;
  const GenerateResult result = g.run([&] { return ++asked == 3; });
  CHECK(result.reason == FinishReason::kInterrupted);
  CHECK(result.text == "abc");
}

}  // namespace
}  // namespace windlass
