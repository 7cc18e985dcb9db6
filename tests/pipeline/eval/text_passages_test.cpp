#include "pipeline/eval/text_passages.h"

#include <fmt/format.h>

#include <random>

#include "tests/support/catch.h"
#include "tests/support/seed.h"

namespace windlass {
namespace {

std::string words(std::uint64_t seed, int n, const char* between = " ") {
  std::mt19937_64 random(seed);
  std::string text;
  for (int i = 0; i < n; ++i) {
    if (i > 0) text += between;
    text += fmt::format("w{}", random() % 5000);
  }
  return text;
}

TEST_CASE("a text shares passages with itself, however it is wrapped") {
  for (const int n : {1, 5, 23, 24, 25, 48, 49, 1000}) {
    INFO(n << " words");
    const TextPassages passages(words(1, n));
    CHECK(passages.find_shared_passage(words(1, n)));
    CHECK(passages.find_shared_passage("\n  " + words(1, n, "\r\n\t ") + "\n"));
    CHECK_FALSE(passages.find_shared_passage(words(2, n)));
  }
  CHECK_FALSE(TextPassages("").find_shared_passage(""));
  CHECK_FALSE(TextPassages("").find_shared_passage(words(1, 100)));
  CHECK_FALSE(TextPassages(words(1, 100)).find_shared_passage(" \n"));
}

TEST_CASE("100 words out of the middle are found in the middle of another text") {
  INFO("seed " << test_seed());
  std::mt19937_64 random(test_seed());
  int found = 0;
  for (int i = 0; i < 300; ++i) {
    const std::string shared = words(random(), 100);
    const TextPassages calibration(words(random(), 400) + " " + shared + " " + words(random(), 50));
    const auto passage = calibration.find_shared_passage(words(random(), 37) + "\n" + shared +
                                                         "\n" + words(random(), 700));
    if (!passage) continue;
    ++found;
    CHECK(shared.find(*passage) != std::string::npos);
  }
  CHECK(found >= 298);  // each is missed once in 30,000 cases
}

TEST_CASE("texts of the same words in another order, or of short common phrases, are apart") {
  const std::string phrase = " in the beginning was the word and the word was ";
  std::string a, b;
  for (int i = 0; i < 200; ++i) {
    a += words(static_cast<std::uint64_t>(i), 15) + phrase;
    b += words(static_cast<std::uint64_t>(1000 + i), 15) + phrase;
  }
  CHECK_FALSE(TextPassages(a).find_shared_passage(b));
  CHECK(TextPassages(a).find_shared_passage(a.substr(a.size() / 3, a.size() / 2)));
}

TEST_CASE("a calibration text is remembered in a fraction of its size") {
  const std::string text = words(1, 20000);
  CHECK(TextPassages(text).size_bytes() < static_cast<std::int64_t>(text.size() / 2));
}

}  // namespace
}  // namespace windlass
