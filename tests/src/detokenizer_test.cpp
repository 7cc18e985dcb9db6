// Streaming detokenisation: whatever way bytes are dealt to tokens, only whole characters come out.
#include <random>
#include <string>

#include "src/text/tokenizer.h"
#include "src/text/utf8.h"
#include "tests/support/catch.h"

namespace windlass {
namespace {

// A tokenizer whose token n is a byte string given by the test; nothing else of it is used.
class ByteTokens final : public Tokenizer {
 public:
  explicit ByteTokens(std::vector<std::string> tokens) : tokens_(std::move(tokens)) {}
  std::string_view token_bytes(std::int32_t id, bool) const override {
    return tokens_.at(static_cast<std::size_t>(id));
  }
  std::int32_t n_vocab() const override { return static_cast<std::int32_t>(tokens_.size()); }
  std::vector<std::int32_t> encode(std::string_view, const TokenizeOptions&) const override {
    return {};
  }
  std::optional<std::int32_t> bos_id() const override { return {}; }
  std::optional<std::int32_t> eos_id() const override { return {}; }
  bool adds_bos() const override { return false; }
  bool is_end_of_generation(std::int32_t) const override { return false; }
  std::optional<std::int32_t> special_id(std::string_view) const override { return {}; }
  std::int64_t size_bytes() const override { return 0; }

 private:
  std::vector<std::string> tokens_;
};

struct Streamed {
  std::vector<std::string> parts;  // of each push, then of finish
  std::string text;
};

// Streams the tokens and checks what must hold of every part.
Streamed stream(const std::vector<std::string>& tokens) {
  const ByteTokens tokenizer(tokens);
  StreamingDetokenizer detokenizer(tokenizer);
  Streamed streamed;
  for (std::int32_t id = 0; id < tokenizer.n_vocab(); ++id)
    streamed.parts.push_back(detokenizer.push(id));
  streamed.parts.push_back(detokenizer.finish());
  for (const std::string& part : streamed.parts) {
    CHECK(is_valid_utf8(part));
    streamed.text += part;
  }
  return streamed;
}

const std::string kMark(kReplacementCharacter);

}  // namespace

TEST_CASE("an id past the vocabulary has no text and breaks none") {
  const ByteTokens tokenizer({"\xC3", "\xA9"});
  StreamingDetokenizer detokenizer(tokenizer);
  CHECK(detokenizer.push(2).empty());
  CHECK(detokenizer.push(0).empty());
  CHECK(detokenizer.push(1000000).empty());
  CHECK(detokenizer.push(1) == "\xC3\xA9");
}

TEST_CASE("a text comes out whole however its bytes are cut into three tokens") {
  const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z";  // 1, 2, 3 and 4 bytes
  for (std::size_t i = 0; i <= text.size(); ++i) {
    for (std::size_t j = i; j <= text.size(); ++j) {
      INFO(i << ", " << j);
      CHECK(stream({text.substr(0, i), text.substr(i, j - i), text.substr(j)}).text == text);
    }
  }
}

TEST_CASE("a character comes out with the token that completes it and not later") {
  const auto parts = stream({"\xF0", "\x9F", "\x98",
                             "\x80"
                             "b\xC3",
                             "\xA9"})
                         .parts;
  CHECK(parts == std::vector<std::string>{"", "", "",
                                          "\xF0\x9F\x98\x80"
                                          "b",
                                          "\xC3\xA9", ""});
}

TEST_CASE("bytes that cannot become a character come out as U+FFFD at once") {
  CHECK(stream({"a\x80", "b"}).parts == std::vector<std::string>{"a" + kMark, "b", ""});
  CHECK(stream({"\xE2\x82", "b"}).parts == std::vector<std::string>{"", kMark + "b", ""});
  CHECK(stream({"\xED\xA0\x80"}).text ==
        kMark + kMark + kMark);  // a surrogate: no prefix of it is valid
  CHECK(stream({"\xC0\xAF\xFF"}).text == kMark + kMark + kMark);
}

TEST_CASE("an unfinished character at the end is one U+FFFD") {
  CHECK(stream({"ok\xF0\x9F", "\x98"}).parts == std::vector<std::string>{"ok", "", kMark});
  CHECK(stream({"ok"}).parts.back().empty());
}

TEST_CASE("a detokenizer that finished begins anew") {
  const ByteTokens tokenizer({"\xC3", "\xA9"});
  StreamingDetokenizer detokenizer(tokenizer);
  CHECK(detokenizer.push(0).empty());
  CHECK(detokenizer.finish() == kMark);
  CHECK(detokenizer.push(1) == kMark);
  CHECK(detokenizer.finish().empty());
}

TEST_CASE("random bytes stream to the same text however they are dealt to tokens") {
  const std::uint64_t seed = 20261123;
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  // Lead and continuation bytes are overdrawn, so that near-characters are common.
  const std::string bytes =
      std::string("a\x80\xBF\xC3\xE2\x82\xED\xA0\xF0\x9F\x98\xF4\x90\xFF\0z", 16);
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (std::size_t n = random() % 12; text.size() < n;) text += bytes[random() % bytes.size()];
    std::vector<std::string> tokens{""};
    for (const char byte : text) {
      if (random() % 3 == 0) tokens.emplace_back();
      tokens.back() += byte;
    }
    REQUIRE(stream(tokens).text == stream({text}).text);
  }
}

}  // namespace windlass
