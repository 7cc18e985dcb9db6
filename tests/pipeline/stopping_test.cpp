// An engine that is stopped in the middle, by Ctrl-C or by a disk that fails: it keeps what was
// whole and goes on from there, bit for bit.
#include <algorithm>
#include <filesystem>

#include "pipeline/engine.h"
#include "pipeline/session_plan.h"
#include "src/base/error.h"
#include "src/base/units.h"
#include "tests/pipeline/golden_model.h"
#include "tests/pipeline/streamed_model.h"
#include "tests/support/catch.h"

namespace windlass {
namespace {

using namespace windlass::test;

std::vector<float> as_vector(std::span<const float> logits) {
  return {logits.begin(), logits.end()};
}

// Says yes when it is asked for the `at`-th time, once; counts how often it is asked.
struct Interrupter {
  int asked = 0, at = -1;
  std::function<bool()> function() {
    return [this] { return asked++ == at; };
  }
};

EngineOptions streaming_options(const StreamedModel& streamed) {
  EngineOptions options = exact_options(128);
  options.micro_batch_tokens = 40;  // 100 tokens are three steps
  options.isa = best_isa();
  options.ram_bytes = least_ram(streamed.model, options) + kMiB;
  return options;
}

// The prompt's last logits, then those of two tokens of decode; what is interrupted is done again
// from where the engine stands. REQUIREs `n_interrupts` interrupts.
std::vector<float> feed_all(Engine& engine, const StreamedModel& streamed, int n_interrupts) {
  const std::int32_t more[] = {7, 4321};
  std::vector<float> logits;
  const auto feed = [&](std::span<const std::int32_t> tokens, std::int64_t first) {
    const std::int64_t end = first + std::ssize(tokens);
    while (engine.n_tokens() < end) {
      try {
        const auto rest = tokens.subspan(static_cast<std::size_t>(engine.n_tokens() - first));
        const std::vector<float> last = as_vector(engine.feed_for_last(rest, {}));
        logits.insert(logits.end(), last.begin(), last.end());
      } catch (const Error& error) {
        REQUIRE(error.code() == ErrorCode::kInterrupted);
        REQUIRE(engine.n_tokens() < end);  // the step that was stopped is not in it
        REQUIRE((engine.n_tokens() % 40 == 0 || engine.n_tokens() >= 100));
        --n_interrupts;
      }
    }
  };
  feed(streamed.ids, 0);
  feed(std::span(more).first(1), 100);
  feed(std::span(more).subspan(1), 101);
  REQUIRE(n_interrupts == 0);
  return logits;
}

TEST_CASE("an interrupt between any two entries ends the step, and the rest gives the same bits") {
  const StreamedModel streamed;
  EngineOptions options = streaming_options(streamed);
  Interrupter interrupter;
  options.interrupted = interrupter.function();
  std::vector<float> expected;
  {
    Engine engine(streamed.model, options, test_profile());
    expected = feed_all(engine, streamed, 0);
  }
  const int n_asked = interrupter.asked;
  CHECK(n_asked > 5 * 4 * 10);  // five steps of four layers, each of ten ops and more
  for (int at = 0; at < n_asked; at += std::max(1, n_asked / 40)) {
    INFO("interrupted at question " << at << " of " << n_asked);
    interrupter = {0, at};
    Engine engine(streamed.model, options, test_profile());
    CHECK(feed_all(engine, streamed, 1) == expected);
  }
}

TEST_CASE("an interrupt lets no op run that had not begun, and the receipt says what it cost") {
  const StreamedModel streamed;
  EngineOptions options = streaming_options(streamed);
  bool stop = false;
  options.interrupted = [&] { return stop; };
  options.logits_rows = 100;
  options.micro_batch_tokens = 100;
  options.ram_bytes = least_ram(streamed.model, options) + kMiB;
  Engine engine(streamed.model, options, test_profile());
  int tiles = 0;
  const auto stop_at_first_tile = [&](const LogitsTile&) {
    ++tiles;
    stop = true;
  };
  CHECK_THROWS_AS(engine.feed(streamed.ids, 100, stop_at_first_tile, {}), Error);
  CHECK(tiles == 1);  // of two
  CHECK(engine.n_tokens() == 0);
  const Receipt receipt = engine.receipt();
  CHECK(receipt.prefill.steps == 0);
  REQUIRE_FALSE(receipt.notes.empty());
  CHECK_THAT(receipt.notes.back(), Contains("a step of 100 rows was given up"));
}

TEST_CASE("a load that the disk fails can be tried again when the disk is whole") {
  const StreamedModel streamed;
  const EngineOptions options = exact_options(128);  // all in memory
  Engine whole(streamed.model, options, test_profile());
  const std::vector<float> expected = as_vector(whole.feed_for_last(streamed.ids, {}));
  Engine engine(streamed.model, options, test_profile());
  const std::string bytes = testing::read_file(streamed.path);
  std::filesystem::resize_file(streamed.path, bytes.size() / 2);
  for (int i = 0; i < 2; ++i) {
    try {
      engine.load({});
      FAIL("half a file was loaded");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::kIo);
      CHECK_THAT(error.what(), Contains("got shorter"));
    }
  }
  testing::write_file(streamed.path, bytes);  // in place: the same file
  engine.load({});
  CHECK(as_vector(engine.feed_for_last(streamed.ids, {})) == expected);
}

TEST_CASE("a step whose reads fail leaves the sequence as it was") {
  const StreamedModel streamed;
  const EngineOptions options = streaming_options(streamed);
  Engine engine(streamed.model, options, test_profile());
  const auto ids = std::span<const std::int32_t>(streamed.ids);
  engine.feed_for_last(ids.first(40), {});
  const std::string bytes = testing::read_file(streamed.path);
  std::filesystem::resize_file(streamed.path, bytes.size() / 2);
  for (const std::int64_t n : {1, 40, 1}) {
    CHECK_THROWS_AS(engine.feed_for_last(ids.subspan(40, static_cast<std::size_t>(n)), {}), Error);
    CHECK(engine.n_tokens() == 40);
  }
  testing::write_file(streamed.path, bytes);
  const std::vector<float> rest = as_vector(engine.feed_for_last(ids.subspan(40), {}));
  Engine whole(streamed.model, options, test_profile());
  CHECK(rest == as_vector(whole.feed_for_last(ids, {})));
}

}  // namespace
}  // namespace windlass
