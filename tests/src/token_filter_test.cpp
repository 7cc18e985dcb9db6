// Which tokens a grammar allows: against a plain match of each token, and through the sampler.
#include "src/text/grammar/token_filter.h"

#include <random>

#include "src/base/error.h"
#include "src/text/grammar/gbnf.h"
#include "src/text/sampler.h"
#include "tests/support/catch.h"
#include "tests/support/toy_tokenizer.h"

namespace windlass {
namespace {

using testing::ToyTokenizer;

Automaton compile(const std::string& gbnf) { return compile_grammar(parse_gbnf(gbnf), "grammar"); }

// Random pieces, so that many share beginnings, and all single bytes.
std::vector<std::string> random_pieces(int n) {
  std::mt19937 random(11);
  const std::string letters = "ab01{}[],:\"tnu \xC3\xA9";
  std::vector<std::string> pieces;
  for (int i = 0; i < n; ++i) {
    std::string piece;
    for (auto size = 1 + random() % 6; size > 0; --size)
      piece += letters[random() % letters.size()];
    pieces.push_back(piece);
  }
  for (int byte = 0; byte < 256; ++byte) pieces.emplace_back(1, static_cast<char>(byte));
  return pieces;
}

const char* const kList = R"(
root ::= "[" (item ("," item)*)? "]"
item ::= [0-9]+ | "\"" [^"]* "\"" | root | "true" | "null"
)";

// Follows the text byte by byte, without any of the filter's tables.
bool begins(const std::string& gbnf, const std::string& text) {
  Matcher matcher(compile(gbnf));
  Matcher::StateId state = matcher.restart();
  for (const char c : text) state = matcher.step(state, static_cast<std::uint8_t>(c));
  return state != Matcher::kDead;
}

std::vector<float> random_logits(std::mt19937& random, std::size_t n) {
  std::vector<float> logits(n);
  for (float& logit : logits) logit = static_cast<float>(random() % 1000) / 100.0f;
  return logits;
}

}  // namespace

TEST_CASE("the filter allows the tokens that the grammar lets follow, and no others") {
  const ToyTokenizer tokenizer(random_pieces(300), {});
  TokenFilter filter(compile(kList), tokenizer);
  for (const std::string text : {"", "[", "[1", "[\"a", "[[tru", "[\"\xC3", "[true,"}) {
    filter.restart();
    for (const char c : text) {
      filter.prepare();
      filter.accept(300 + static_cast<std::uint8_t>(c));
    }
    filter.prepare();
    for (std::int32_t id = 0; id < tokenizer.n_vocab(); ++id) {
      INFO(text << " then token " << id);
      const std::string longer = text + std::string(tokenizer.token_bytes(id, false));
      if (filter.allows(id) != begins(kList, longer)) FAIL("wrong");
    }
    CHECK_FALSE(filter.allows(tokenizer.n_vocab()));
  }
}

TEST_CASE("the end token is allowed where the text may end, control tokens never are") {
  const ToyTokenizer tokenizer({"a", "b", "", "</s>"}, {3});
  TokenFilter filter(compile("root ::= \"a\" \"b\"?"), tokenizer);
  filter.prepare();
  CHECK(filter.allows(0));
  CHECK_FALSE(filter.allows(1));
  CHECK_FALSE(filter.allows(2));
  CHECK_FALSE(filter.allows(3));
  filter.accept(0);
  filter.prepare();
  CHECK(filter.allows(1));
  CHECK(filter.allows(3));
  CHECK_FALSE(filter.finished());
  filter.accept(1);
  CHECK(filter.finished());
  filter.restart();
  CHECK_FALSE(filter.finished());
}

TEST_CASE("a vocabulary that cannot spell what the grammar wants is an error") {
  const ToyTokenizer tokenizer({"a", "b"}, {});
  TokenFilter filter(compile("root ::= \"ac\""), tokenizer);
  filter.prepare();
  filter.accept(0);
  CHECK_THROWS_AS(filter.prepare(), Error);
}

TEST_CASE("a grammar with too many readings is an error, in bounded time") {
  const ToyTokenizer tokenizer(random_pieces(300), {});
  TokenFilter filter(compile("root ::= \"a\" root \"b\" | \"a\" root \"0\" | \"\""), tokenizer);
  const auto run = [&] {
    for (int i = 0; i < 100; ++i) {
      filter.prepare();
      filter.accept(300 + 'a');
    }
  };
  CHECK_THROWS_AS(run(), Error);
}

TEST_CASE("only text of the grammar is sampled, whatever the logits, and nothing allocates late") {
  const ToyTokenizer tokenizer(random_pieces(500), {});
  std::mt19937 random(5);
  const auto n = static_cast<std::size_t>(tokenizer.n_vocab()) + 7;  // rows beyond the vocabulary
  SamplingOptions options;
  options.temperature = 1.5;
  int n_finished = 0;
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    options.seed = seed;
    Sampler sampler(options, static_cast<std::int64_t>(n),
                    {.context_tokens = 100,
                     .tokenizer = &tokenizer,
                     .filter = std::make_unique<TokenFilter>(compile(kList), tokenizer)});
    const std::int64_t size_bytes = sampler.size_bytes();
    sampler.begin({});
    std::string text;
    for (int i = 0; i < 60 && !sampler.finished(); ++i)
      text += tokenizer.token_bytes(sampler.sample(random_logits(random, n)), false);
    CHECK(begins(kList, text));
    n_finished += sampler.finished();
    CHECK(sampler.size_bytes() == size_bytes);
  }
  CHECK(n_finished > 0);
}

TEST_CASE("greedy takes the best that the grammar allows, minus infinity if need be") {
  const ToyTokenizer tokenizer({"a", "b", "c"}, {});
  SamplingOptions options;
  options.temperature = 0.0;
  Sampler sampler(
      options, 3,
      {.context_tokens = 0,
       .tokenizer = &tokenizer,
       .filter = std::make_unique<TokenFilter>(compile("root ::= [bc]{2}"), tokenizer)});
  const float none = -std::numeric_limits<float>::infinity();
  CHECK(sampler.sample(std::vector<float>{9.0f, 1.0f, 2.0f}) == 2);
  CHECK(sampler.sample(std::vector<float>{9.0f, none, none}) == 1);
  CHECK(sampler.finished());
}

}  // namespace windlass
