// An engine of several sequences: each gets what it would get alone, whoever else is in the step,
// and a step that fails counts for none.
#include <vector>

#include "pipeline/phase_meter.h"
#include "src/base/error.h"
#include "src/base/units.h"
#include "tests/pipeline/golden_model.h"
#include "tests/pipeline/streamed_model.h"
#include "tests/support/catch.h"

namespace windlass {
namespace {

using namespace windlass::test;

constexpr std::int64_t kSequences = 3;

EngineOptions together_options() {
  EngineOptions options = exact_options(64);
  options.n_sequences = kSequences;
  options.micro_batch_tokens = 16;
  return options;
}

// The text of each sequence: stretches of the model's that differ.
std::span<const std::int32_t> text_of(const StreamedModel& streamed, std::int64_t sequence) {
  return std::span(streamed.ids).subspan(static_cast<std::size_t>(sequence) * 25, 25);
}

// Logits of the last token of each part, [parts, n_vocab].
std::vector<float> step(Engine& engine, const std::vector<SequenceTokens>& parts,
                        std::int64_t n_vocab) {
  std::vector<float> logits(parts.size() * static_cast<std::size_t>(n_vocab), -1e30F);
  engine.feed_together(parts, [&](const StepLogits& tile) {
    REQUIRE(tile.rows == std::ssize(parts));
    for (std::int64_t row = 0; row < tile.rows; ++row) {
      std::copy_n(tile.data + row * tile.stride, tile.columns,
                  logits.begin() + row * n_vocab + tile.first_column);
    }
  });
  return logits;
}

// Prompts of 10, 11 and 12 tokens, then eight tokens each.
std::vector<float> decode_together(const StreamedModel& streamed, const EngineOptions& options) {
  Engine engine(streamed.model, options, test_profile());
  const std::int64_t n_vocab = streamed.model.spec.n_vocab;
  std::vector<std::size_t> next;
  for (std::int64_t s = 0; s < kSequences; ++s) {
    next.push_back(static_cast<std::size_t>(10 + s));
    engine.feed(
        text_of(streamed, s).first(next.back()), 1, [](const LogitsTile&) {}, {}, s);
  }
  std::vector<float> all;
  for (int i = 0; i < 8; ++i) {
    std::vector<SequenceTokens> parts;
    for (std::int64_t s = 0; s < kSequences; ++s) {
      std::size_t& at = next[static_cast<std::size_t>(s)];
      parts.push_back({s, text_of(streamed, s).subspan(at++, 1)});
    }
    const std::vector<float> logits = step(engine, parts, n_vocab);
    all.insert(all.end(), logits.begin(), logits.end());
  }
  return all;
}

TEST_CASE("sequences that decode together get what each gets alone") {
  const StreamedModel streamed;
  const std::int64_t n_vocab = streamed.model.spec.n_vocab;
  const std::vector<float> together = decode_together(streamed, together_options());
  for (std::int64_t s = 0; s < kSequences; ++s) {
    EngineOptions options = exact_options(64);
    options.micro_batch_tokens = 16;
    Engine engine(streamed.model, options, test_profile());
    const auto first = static_cast<std::size_t>(10 + s);
    engine.feed_for_last(text_of(streamed, s).first(first), {});
    for (std::size_t i = 0; i < 8; ++i) {
      const auto alone = engine.feed_for_last(text_of(streamed, s).subspan(first + i, 1), {});
      const auto row = (static_cast<std::int64_t>(i) * kSequences + s) * n_vocab;
      INFO("sequence " << s << ", token " << i);
      CHECK(
          deviation(alone, std::span(together).subspan(static_cast<std::size_t>(row), alone.size()))
              .max <= 5e-4);
    }
  }
}

TEST_CASE("no budget or thread count changes a bit of what sequences get together") {
  const StreamedModel streamed;
  EngineOptions options = together_options();
  options.isa = best_isa();
  const std::int64_t least = least_ram(streamed.model, options);
  const std::int64_t all = all_ram(streamed.model, options);
  REQUIRE(least < all - 2 * kMiB);
  options.ram_bytes = all;
  const std::vector<float> expected = decode_together(streamed, options);
  for (const std::int64_t ram : {least, least + (all - least) / 2}) {
    for (int threads = 1; threads <= 2; ++threads) {
      options.ram_bytes = ram;
      options.threads = threads;
      INFO("ram " << ram << ", threads " << threads);
      CHECK(decode_together(streamed, options) == expected);
    }
  }
}

TEST_CASE("parts of a step may be of any length, and a sequence may stay out of it") {
  const StreamedModel streamed;
  const std::int64_t n_vocab = streamed.model.spec.n_vocab;
  Engine engine(streamed.model, together_options(), test_profile());
  const auto a = text_of(streamed, 0), c = text_of(streamed, 2);
  const std::vector<float> mixed = step(engine, {{2, c.first(9)}, {0, a.first(4)}}, n_vocab);
  CHECK(engine.n_tokens(0) == 4);
  CHECK(engine.n_tokens(1) == 0);
  CHECK(engine.n_tokens(2) == 9);
  Engine alone(streamed.model, exact_options(64), test_profile());
  const auto expected = alone.feed_for_last(c.first(9), {});
  CHECK(deviation(expected, std::span(mixed).first(expected.size())).max <= 5e-4);
  engine.roll_back(3, 2);
  CHECK(engine.n_tokens(0) == 4);
  CHECK(engine.n_tokens(2) == 3);
}

TEST_CASE("a step that one sequence has no room for counts for none") {
  const StreamedModel streamed;
  Engine engine(streamed.model, together_options(), test_profile());
  engine.feed(
      std::span(streamed.ids).first(64), 1, [](const LogitsTile&) {}, {}, 1);
  const auto one = text_of(streamed, 0).first(1);
  const std::vector<SequenceTokens> parts = {{0, one}, {1, one}};
  try {
    engine.feed_together(parts, [](const StepLogits&) {});
    FAIL("a full context took one more");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kNoSpace);
  }
  CHECK(engine.n_tokens(0) == 0);
  CHECK(engine.n_tokens(1) == 64);
}

TEST_CASE(
    "the receipt of a decode of several sequences counts their tokens and predicts its steps") {
  const StreamedModel streamed;
  Engine engine(streamed.model, together_options(), test_profile());
  for (int i = 0; i < 5; ++i) {
    std::vector<SequenceTokens> parts;
    for (std::int64_t s = 0; s < kSequences; ++s)
      parts.push_back({s, text_of(streamed, s).subspan(static_cast<std::size_t>(i), 1)});
    engine.feed_together(parts, [](const StepLogits&) {});
  }
  const PhaseReceipt decode = engine.receipt().decode;  // all but the first tokens
  CHECK(decode.steps == 4);
  CHECK(decode.tokens == 4 * kSequences);
  const StepForecast step = engine.forecast({kSequences, kSequences, 2, kSequences});
  CHECK(decode.predicted_s_per_step == Approx(step.prediction.step_s));
}

TEST_CASE("the budget holds the KV cache of every sequence, and a refusal counts them") {
  const StreamedModel streamed;
  EngineOptions options = exact_options(64);
  const std::int64_t one = least_ram(streamed.model, options);
  options.n_sequences = 9;
  const std::int64_t nine = least_ram(streamed.model, options);
  const ModelSpec& spec = streamed.model.spec;
  const std::int64_t kv_bytes = spec.n_layers * 64 * (spec.k_dim() + spec.v_dim()) * 4;
  CHECK(nine >= one + 8 * kv_bytes);
  options.ram_bytes = nine - kMiB;
  try {
    Engine engine(streamed.model, options, test_profile());
    FAIL("it opened");
  } catch (const Error& error) {
    CHECK_THAT(error.what(), Contains("KV for 9 sequences of 64 tokens"));
  }
}

}  // namespace
}  // namespace windlass
