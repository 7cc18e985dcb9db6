// The engine on the reference models: right, and the same whatever the budget, threads and
// schedule (law 2).
#include "pipeline/engine.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>

#include "src/base/error.h"
#include "src/base/units.h"
#include "tests/pipeline/golden_model.h"
#include "tests/pipeline/streamed_model.h"
#include "tests/support/catch.h"

namespace windlass {
namespace {

using namespace windlass::test;

std::vector<float> logits_of(const Model& model, EngineOptions options,
                             std::span<const std::int32_t> ids) {
  options.logits_rows = static_cast<std::int64_t>(ids.size());
  Engine engine(model, options, test_profile());
  return all_logits(engine, model.spec.n_vocab, ids);
}

TEST_CASE("the engine's logits are the reference's") {
  const std::string name = GENERATE("llama", "llama3_rope", "llama_quants/Q8_0");
  const int prompt = GENERATE(0, 1);
  const Model model = golden_model(name);
  const auto ids = golden_ids(name, prompt);
  const Deviation apart =
      deviation(logits_of(model, exact_options(192), ids), golden_logits(name, prompt));
  const bool quantised = name != "llama" && name != "llama3_rope";
  INFO(name << ", prompt " << prompt);
  CHECK(apart.max <= (quantised ? 5e-4 : 2e-4));
  CHECK(apart.mean <= (quantised ? 5e-5 : 2e-5));
}

TEST_CASE("8-bit activations and f16 KV stay within their tolerance") {
  const Model model = golden_model("llama_quants/Q8_0");
  const auto ids = golden_ids("llama_quants/Q8_0", 1);
  EngineOptions options = exact_options(192);
  options.activations = Activations::kInt8;
  options.kv_types = {};
  options.isa = best_isa();
  const Deviation apart =
      deviation(logits_of(model, options, ids), golden_logits("llama_quants/Q8_0", 1));
  CHECK(apart.max <= 5e-1);
  CHECK(apart.mean <= 8e-2);
  CHECK(apart.max > 0);
}

TEST_CASE("no budget, thread count or schedule changes a bit of the logits") {
  const StreamedModel streamed;
  EngineOptions options = exact_options(128);
  options.activations = GENERATE(Activations::kExact, Activations::kInt8);
  options.isa = best_isa();
  options.micro_batch_tokens = 40;
  options.logits_rows = static_cast<std::int64_t>(streamed.ids.size());
  const std::int64_t least = least_ram(streamed.model, options);
  const std::int64_t all = all_ram(streamed.model, options);
  REQUIRE(least < all - 2 * kMiB);
  const std::vector<float> expected = logits_of(streamed.model, options, streamed.ids);
  int round = 0;
  for (const std::int64_t ram : {least, least + (all - least) / 3, all - kMiB, all}) {
    for (int threads = 1; threads <= 3; ++threads) {
      options.ram_bytes = ram;
      options.threads = threads;
      options.overlap = ++round % 2 == 0;
      INFO("ram " << ram << ", threads " << threads << ", overlap " << options.overlap);
      CHECK(logits_of(streamed.model, options, streamed.ids) == expected);
    }
  }
  options.ram_bytes.reset();  // auto
  options.overlap = true;
  CHECK(logits_of(streamed.model, options, streamed.ids) == expected);
}

TEST_CASE("micro-batches of any size agree within tolerance, and pick the same tokens") {
  const StreamedModel streamed;
  EngineOptions options = exact_options(128);
  options.isa = best_isa();
  options.ram_bytes = least_ram(streamed.model, options) + 2 * kMiB;
  options.micro_batch_tokens = 100;
  const std::vector<float> whole = logits_of(streamed.model, options, streamed.ids);
  const std::int64_t n_vocab = streamed.model.spec.n_vocab;
  for (const std::int64_t rows : {1, 17, 48, 99}) {
    options.micro_batch_tokens = rows;
    const std::vector<float> parts = logits_of(streamed.model, options, streamed.ids);
    const Deviation apart = deviation(parts, whole);
    INFO("micro-batches of " << rows);
    CHECK(apart.max <= 5e-4);
    CHECK(apart.mean <= 5e-5);
    for (std::int64_t t = 0; t < std::ssize(streamed.ids); ++t) {
      const auto best = [&](const std::vector<float>& logits) {
        const auto row = logits.begin() + t * n_vocab;
        return std::max_element(row, row + n_vocab) - row;
      };
      if (best(parts) == best(whole)) continue;
      const float margin = whole[static_cast<std::size_t>(t * n_vocab + best(whole))] -
                           whole[static_cast<std::size_t>(t * n_vocab + best(parts))];
      CHECK(margin < 1e-3);  // a near-tie
    }
  }
}

TEST_CASE("logits of the last token alone are those of all") {
  const StreamedModel streamed;
  EngineOptions options = exact_options(128);
  options.micro_batch_tokens = 40;  // 100 tokens: two steps without a head, one with
  options.ram_bytes = least_ram(streamed.model, options);
  Engine engine(streamed.model, options, test_profile());
  const auto last = engine.feed_for_last(streamed.ids, {});
  options.ram_bytes = kGiB;
  const std::vector<float> all = logits_of(streamed.model, options, streamed.ids);
  const Deviation apart = deviation(last, std::span(all).last(last.size()));
  CHECK(apart.max <= 5e-4);  // one row of the head against twenty
}

TEST_CASE("rolling back and feeding again equals a fresh feed, bit for bit") {
  const StreamedModel streamed;
  EngineOptions options = exact_options(128);
  options.micro_batch_tokens = 32;
  options.ram_bytes = least_ram(streamed.model, options) + kMiB;
  const auto ids = std::span<const std::int32_t>(streamed.ids);
  const auto as_vector = [](std::span<const float> logits) {
    return std::vector<float>(logits.begin(), logits.end());
  };
  Engine fresh(streamed.model, options, test_profile());
  fresh.feed_for_last(ids.first(50), {});
  const auto expected = as_vector(fresh.feed_for_last(ids.subspan(50, 20), {}));
  Engine engine(streamed.model, options, test_profile());
  engine.feed_for_last(ids.first(50), {});
  engine.feed_for_last(ids.subspan(70, 30), {});
  CHECK(engine.n_tokens() == 80);
  engine.roll_back(50);
  CHECK(engine.n_tokens() == 50);
  CHECK(as_vector(engine.feed_for_last(ids.subspan(50, 20), {})) == expected);
  engine.roll_back(0);
  engine.feed_for_last(ids.first(50), {});
  CHECK(as_vector(engine.feed_for_last(ids.subspan(50, 20), {})) == expected);
}

ErrorCode code_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.code();
  }
  FAIL("nothing was thrown");
  return ErrorCode::kIo;
}

TEST_CASE("a context can be filled to its last token, and one more is refused") {
  const Model model = golden_model("llama");
  const auto ids = golden_ids("llama", 1);
  Engine engine(model, exact_options(64), test_profile());
  REQUIRE(engine.context_tokens() == 64);
  engine.feed_for_last(std::span(ids).first(63), {});
  engine.feed_for_last(std::span(ids).subspan(63, 1), {});
  CHECK(engine.n_tokens() == 64);
  CHECK(code_of([&] { engine.feed_for_last(std::span(ids).first(1), {}); }) == ErrorCode::kNoSpace);
  CHECK(engine.n_tokens() == 64);
  engine.roll_back(0);
  CHECK(code_of([&] { engine.feed_for_last(std::span(ids).first(65), {}); }) ==
        ErrorCode::kNoSpace);
  engine.feed_for_last(std::span(ids).first(64), {});
  CHECK(engine.n_tokens() == 64);
}

TEST_CASE("a prompt of one token works") {
  const Model model = golden_model("llama");
  const auto ids = golden_ids("llama", 0);
  Engine engine(model, exact_options(1), test_profile());
  const auto logits = engine.feed_for_last(std::span(ids).first(1), {});
  const std::vector<float> golden = golden_logits("llama", 0);
  CHECK(deviation(logits, std::span(golden).first(logits.size())).max <= 2e-4);
}

TEST_CASE("an id outside the vocabulary is refused before anything runs") {
  const Model model = golden_model("llama");
  Engine engine(model, exact_options(64), test_profile());
  const auto n_vocab = static_cast<std::int32_t>(model.spec.n_vocab);
  for (const std::int32_t bad : {-1, n_vocab, 2'000'000'000}) {
    const std::vector<std::int32_t> ids = {1, 2, bad, 3};
    CHECK(code_of([&] { engine.feed_for_last(ids, {}); }) == ErrorCode::kUsage);
    CHECK(engine.n_tokens() == 0);
  }
  const std::vector<std::int32_t> ids = {0, n_vocab - 1};
  engine.feed_for_last(ids, {});
  CHECK(engine.n_tokens() == 2);
}

TEST_CASE("a budget below the least is refused with the least, which works") {
  const StreamedModel streamed;
  EngineOptions options = exact_options(128);
  const std::int64_t least = least_ram(streamed.model, options);
  options.ram_bytes = least - 1;
  try {
    Engine engine(streamed.model, options, test_profile());
    FAIL("it opened");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kNoSpace);
    const std::string mib = std::to_string((least + kMiB - 1) / kMiB);
    CHECK_THAT(error.what(), Contains("--ram " + mib + "MiB"));
  }
  options.ram_bytes = least;
  Engine engine(streamed.model, options, test_profile());
  engine.feed_for_last(streamed.ids, {});
  const Receipt receipt = engine.receipt();
  CHECK(receipt.tiers.front().budget_bytes == least);
  CHECK(receipt.tiers.front().peak_bytes <= least);
  CHECK(receipt.tiers.front().peak_bytes > least - kMiB);
}

std::int64_t bytes_read_by_process() {
  std::ifstream file("/proc/self/io");
  std::string key;
  for (std::int64_t value = 0; file >> key >> value;) {
    if (key == "read_bytes:") return value;
  }
  return -1;
}

TEST_CASE("the receipt's bytes are what the disk gave") {
  const StreamedModel streamed;
  EngineOptions options = exact_options(128);
  options.ram_bytes = least_ram(streamed.model, options) + kMiB;
  Engine engine(streamed.model, options, test_profile());
  const std::int64_t before = bytes_read_by_process();
  if (before < 0 || !engine.receipt().direct_io) {
    std::puts("skipped: no /proc/self/io, or no direct reads in the temporary folder");
    return;
  }
  engine.feed_for_last(streamed.ids, {});
  for (std::int32_t i = 0; i < 20; ++i) engine.feed_for_last(std::span(&i, 1), {});
  const std::int64_t read = bytes_read_by_process() - before;
  const Receipt receipt = engine.receipt();
  const std::int64_t counted =
      receipt.load_bytes + receipt.prefill.disk_to_host.bytes + receipt.decode.disk_to_host.bytes;
  CHECK(receipt.load_bytes > 0);
  CHECK(receipt.decode.steps == 20);
  CHECK(receipt.decode.disk_to_host.bytes > 20 * 2 * kMiB);
  CHECK(static_cast<double>(counted) == Approx(static_cast<double>(read)).epsilon(0.05));
}

TEST_CASE("with everything in memory a decode step reads nothing but embedding rows") {
  const StreamedModel streamed;
  const EngineOptions options = exact_options(128);
  Engine engine(streamed.model, options, test_profile());
  engine.feed_for_last(streamed.ids, {});
  for (std::int32_t i = 0; i < 5; ++i) engine.feed_for_last(std::span(&i, 1), {});
  CHECK(engine.receipt().decode.disk_to_host.bytes <= 5 * 2 * 4096);
}

}  // namespace
}  // namespace windlass
