// The receipt's outside form, and the counting behind it.
#include "pipeline/receipt.h"

#include <nlohmann/json.hpp>

#include "pipeline/phase_meter.h"
#include "tests/support/catch.h"

namespace windlass {
namespace {

Receipt sample() {
  Receipt receipt;
  receipt.model = "m.gguf";
  receipt.prompt_tokens = 10;
  receipt.generated_tokens = 4;
  receipt.tiers.push_back({Tier::kHost, 1000, 900});
  receipt.decode.tokens = 4;
  receipt.decode.steps = 4;
  receipt.decode.wall_s = 2;
  receipt.decode.predicted_s_per_step = 0.45;
  receipt.decode.bound_s_per_step = 0.4;
  receipt.decode.bottleneck = "disk_to_host";
  receipt.decode.disk_to_host = {std::int64_t{3} << 30, 1.5};
  return receipt;
}

TEST_CASE("a receipt has every key that scripts depend on") {
  const nlohmann::json json = to_json(sample());
  for (const char* key : {"model", "prompt_tokens", "generated_tokens", "load_s", "ttft_s", "tiers",
                          "prefill", "decode"}) {
    INFO(key);
    CHECK(json.contains(key));
  }
  CHECK(json["tiers"]["host"]["budget_bytes"] == 1000);
  CHECK(json["tiers"]["host"]["peak_bytes"] == 900);
  for (const char* phase : {"prefill", "decode"}) {
    for (const char* key :
         {"tokens", "steps", "wall_s", "tok_s", "predicted_s_per_step", "bound_s_per_step",
          "achieved_s_per_step", "of_bound", "bottleneck", "links"}) {
      INFO(phase << "." << key);
      CHECK(json[phase].contains(key));
    }
    for (const char* key : {"bytes", "busy_s", "gib_per_s"}) {
      CHECK(json[phase]["links"]["disk_to_host"].contains(key));
    }
  }
}

TEST_CASE("a receipt's rates follow from its counts") {
  const nlohmann::json decode = to_json(sample())["decode"];
  CHECK(decode["tok_s"] == 2.0);
  CHECK(decode["achieved_s_per_step"] == 0.5);
  CHECK(decode["of_bound"].get<double>() == Approx(0.8));
  CHECK(decode["links"]["disk_to_host"]["gib_per_s"] == 2.0);
}

TEST_CASE("a phase without steps has no rate, and no phase beats its bound") {
  Receipt receipt = sample();
  CHECK(receipt.prefill.of_bound() == 0);
  CHECK(to_json(receipt)["prefill"]["tok_s"] == 0);
  receipt.decode.bound_s_per_step = 0.6;
  CHECK(receipt.decode.of_bound() == 1);
}

TEST_CASE("the receipt for people names what bound the run") {
  const std::string text = format_receipt(sample());
  CHECK_THAT(text, Contains("decode: 4 tokens"));
  CHECK_THAT(text, Contains("disk_to_host"));
  CHECK_THAT(text, !Contains("prefill:"));
}

TEST_CASE("a receipt counts experts where there is a cache of them") {
  Receipt receipt = sample();
  CHECK_FALSE(to_json(receipt)["decode"].contains("experts"));
  CHECK_THAT(format_receipt(receipt), !Contains("expert"));
  receipt.decode.expert_hits = 30;
  receipt.decode.expert_misses = 10;
  receipt.decode.expected_expert_hit_rate = 0.5;
  const nlohmann::json experts = to_json(receipt)["decode"]["experts"];
  CHECK(experts["hits"] == 30);
  CHECK(experts["misses"] == 10);
  CHECK(experts["hit_rate"] == 0.75);
  CHECK(experts["expected_hit_rate"] == 0.5);
  CHECK_THAT(format_receipt(receipt), Contains("30 of 40 matrices were there, 75 %"));
}

void add(PhaseMeter& meter, const StepLoad& load, double wall_s, std::int64_t bytes) {
  const Counters before{7.0, {100, 1, 0.5}, {1.0, 0}, {20, 5}};
  meter.add(load, before, {7.0 + wall_s, {100 + bytes, 2, 0.75}, {1.25, 0}, {23, 9}});
}

TEST_CASE("a phase meter adds up the difference that each step made") {
  PhaseMeter meter;
  add(meter, {32, 0, 0}, 2.0, 1000);
  add(meter, {8, 1, 32}, 1.0, 500);
  const PhaseReceipt receipt = meter.receipt([](const StepLoad&) { return StepForecast{}; });
  CHECK(receipt.steps == 2);
  CHECK(receipt.tokens == 40);
  CHECK(receipt.wall_s == 3.0);
  CHECK(receipt.disk_to_host.bytes == 1500);
  CHECK(receipt.disk_to_host.busy_s == 0.5);
  CHECK(receipt.cpu_busy_s == 0.5);
  CHECK(receipt.expert_hits == 6);
  CHECK(receipt.expert_misses == 8);
}

TEST_CASE("a phase is held against the mean forecast of its steps and the bottleneck of most") {
  PhaseMeter meter;
  add(meter, {32, 0, 0}, 2.0, 1);
  for (int i = 0; i < 3; ++i) add(meter, {1, 1, 32}, 1.0, 1);
  const PhaseReceipt receipt = meter.receipt([](const StepLoad& load) {
    StepForecast one;
    one.prediction.step_s = load.rows == 32 ? 6.0 : 2.0;
    one.bound = load.rows == 32 ? Bound{4.0, "cpu"} : Bound{1.5, "disk_to_host"};
    return one;
  });
  CHECK(receipt.predicted_s_per_step == 3.0);   // (6 + 3 * 2) / 4
  CHECK(receipt.bound_s_per_step == 2.125);     // (4 + 3 * 1.5) / 4
  CHECK(receipt.bottleneck == "disk_to_host");  // 4.5 s of 8.5
}

TEST_CASE("a phase meter keeps the shape of each batch, and one mean shape of single tokens") {
  PhaseMeter meter;
  add(meter, {32, 0, 0}, 1, 1);
  for (std::int64_t depth = 40; depth < 50; ++depth) add(meter, {1, 1, depth}, 1, 1);
  const auto shapes = meter.shapes();
  REQUIRE(shapes.size() == 2);
  CHECK(shapes[0].load.rows == 32);
  CHECK(shapes[0].steps == 1);
  CHECK(shapes[1].load.rows == 1);
  CHECK(shapes[1].load.logits_rows == 1);
  CHECK(shapes[1].load.depth_tokens == 44);
  CHECK(shapes[1].steps == 10);
}

}  // namespace
}  // namespace windlass
