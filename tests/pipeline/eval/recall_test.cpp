#include "pipeline/eval/recall.h"

#include <algorithm>
#include <set>

#include "src/base/error.h"
#include "tests/support/catch.h"

namespace windlass {
namespace {

std::vector<std::int32_t> text_of(std::int32_t n_tokens, std::int32_t different) {
  std::vector<std::int32_t> text;
  for (std::int32_t i = 0; i < n_tokens; ++i) text.push_back(1000 + i % different);
  return text;
}

TEST_CASE(
    "a probe is text, the string, the distance, the string again; what follows the cue counts") {
  const auto text = text_of(500, 200);
  const std::int64_t distance = GENERATE(1, 40, 300);
  const TokenWindows probes = make_recall_probes(text, {distance}, 5, {}, 1);
  CHECK(probes.count() == 5);
  CHECK(probes.shape.rows() == 13);
  std::set<std::vector<std::int32_t>> strings;
  for (std::int64_t i = 0; i < probes.count(); ++i) {
    const auto probe = probes.window(i);
    REQUIRE(std::ssize(probe) == 8 + 16 + distance + 16);
    const std::vector<std::int32_t> planted(probe.begin() + 8, probe.begin() + 24);
    const std::vector<std::int32_t> again(probe.end() - 16, probe.end());
    CHECK(planted == again);
    CHECK(std::set(planted.begin(), planted.end()).size() == 16);
    CHECK(std::all_of(planted.begin(), planted.end(),
                      [](std::int32_t id) { return id >= 1000 && id < 1200; }));
    strings.insert(planted);
    // The first scored row is the cue's last token: it predicts the string's fourth.
    CHECK(probe[static_cast<std::size_t>(probes.shape.first_scored)] == planted[2]);
    // The text goes on behind the string.
    CHECK(probe[24] == 1000 + (probe[7] - 1000 + 1) % 200);
  }
  CHECK(strings.size() == 5);
}

TEST_CASE("a seed decides the strings, and BOS begins each probe") {
  const auto text = text_of(300, 100);
  const auto tokens = [&](std::uint64_t seed) {
    return make_recall_probes(text, {20}, 3, {}, seed).tokens;
  };
  CHECK(tokens(1) == tokens(1));
  CHECK(tokens(1) != tokens(2));
  const TokenWindows probes = make_recall_probes(text, {20}, 3, 7, 1);
  for (std::int64_t i = 0; i < 3; ++i) CHECK(probes.window(i)[0] == 7);
}

TEST_CASE("a text too short or too poor for probes is refused with what it takes") {
  const auto refusal = [](const std::vector<std::int32_t>& text) {
    try {
      make_recall_probes(text, {100}, 1, {}, 1);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::kUsage);
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK_THAT(refusal(text_of(107, 80)), Contains("107") && Contains("108"));
  CHECK_THAT(refusal(text_of(500, 63)), Contains("63") && Contains("64"));
  CHECK(refusal(text_of(108, 64)).empty());
}

}  // namespace
}  // namespace windlass
