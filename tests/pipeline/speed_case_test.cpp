// What a speed test runs, counts and leaves behind; never how fast.
#include "pipeline/speed_case.h"

#include "src/base/units.h"
#include "tests/pipeline/golden_model.h"
#include "tests/pipeline/streamed_model.h"
#include "tests/support/catch.h"

namespace windlass {
namespace {

using namespace windlass::test;

TEST_CASE("a test is named as llama-bench names it, and by its sequences") {
  CHECK(SpeedCase{512, 0, 0, 1}.name() == "pp512");
  CHECK(SpeedCase{0, 128, 0, 1}.name() == "tg128");
  CHECK(SpeedCase{512, 0, 4096, 1}.name() == "pp512 @ d4096");
  CHECK(SpeedCase{512, 128, 0, 1}.name() == "pp512+tg128");
  CHECK(SpeedCase{0, 128, 0, 16}.name() == "tg128 x16");
  CHECK(SpeedCase{0, 128, 64, 16}.name() == "tg128 x16 @ d64");
}

struct Measured {
  SpeedResult result;
  std::vector<std::int64_t> tokens;  // of each sequence, afterwards
};

Measured measure(const StreamedModel& streamed, EngineOptions options, const SpeedCase& test,
                 const SpeedOptions& speed) {
  options.context_tokens = test.context_tokens();
  options.n_sequences = test.n_seq;
  options.max_rows = speed.batch_tokens;
  Engine engine(streamed.model, options, test_profile());
  Measured measured{measure_speed(engine, streamed.model, test, speed, {}), {}};
  for (std::int64_t s = 0; s < test.n_seq; ++s) measured.tokens.push_back(engine.n_tokens(s));
  return measured;
}

TEST_CASE("a repetition's steps are its micro-batches and its tokens, and the depth stays") {
  const StreamedModel streamed;
  EngineOptions options = exact_options(128);
  options.micro_batch_tokens = 16;
  // Batches of 40 tokens in micro-batches of 16, 16, 8; then 16, 4.
  const Measured prompt = measure(streamed, options, {60, 0, 5, 1}, {40, 2, true});
  CHECK(prompt.result.samples.size() == 2);
  CHECK(prompt.result.steps == 5);
  CHECK(prompt.tokens == std::vector<std::int64_t>{5});
  const Measured decode = measure(streamed, options, {0, 7, 5, 1}, {40, 3, false});
  CHECK(decode.result.samples.size() == 3);
  CHECK(decode.result.steps == 7);
  CHECK(decode.tokens == std::vector<std::int64_t>{5});
  const Measured both = measure(streamed, options, {20, 7, 0, 3}, {40, 1, true});
  CHECK(both.result.steps == 3 * 2 + 7);
  CHECK(both.tokens == std::vector<std::int64_t>{0, 0, 0});
  CHECK(both.result.predicted_s > 0);
}

TEST_CASE("a step's work is each weight once, each row's products, and the keys it attends to") {
  const StreamedModel streamed;
  EngineOptions options = exact_options(64);
  options.n_sequences = 4;
  Engine engine(streamed.model, options, test_profile());
  double weight_bytes = 0, weights = 0;
  for (const TensorInfo& tensor : streamed.model.tensors.tensors) {
    if (tensor.shape.size() < 2 || tensor.name == "token_embd.weight") continue;
    weight_bytes += static_cast<double>(tensor.extent.size_bytes);
    weights += static_cast<double>(tensor.n_rows() * tensor.n_cols());
  }
  const ModelSpec& spec = streamed.model.spec;
  const OpWork one = engine.work({1, 1, 10, 1});
  CHECK(one.weight_bytes == weight_bytes);
  const double attention = 2.0 * 11 * static_cast<double>(spec.n_layers) *
                           static_cast<double>(spec.q_dim() + spec.attention_dim());
  CHECK(one.ops() == 2 * weights + attention);
  CHECK(one.int8_ops == 0);  // --exact
  CHECK(one.kv_bytes ==
        11.0 * 4 * static_cast<double>(spec.n_layers * (spec.k_dim() + spec.v_dim())));
  const OpWork four = engine.work({4, 4, 10, 4});
  CHECK(four.weight_bytes == weight_bytes);
  CHECK(four.ops() == 4 * one.ops());
  CHECK(four.kv_bytes == 4 * one.kv_bytes);
  options.activations = Activations::kInt8;
  Engine int8(streamed.model, options, test_profile());
  const OpWork quantised = int8.work({1, 1, 10, 1});
  CHECK(quantised.int8_ops == 2 * weights);
  CHECK(quantised.f32_ops == attention);
}

TEST_CASE("a test on a model that streams says what came from disk") {
  const StreamedModel streamed;
  EngineOptions options = exact_options(64);
  options.context_tokens = 64;
  options.ram_bytes = least_ram(streamed.model, options) + kMiB;
  const Measured streams = measure(streamed, options, {0, 4, 0, 1}, {16, 1, true});
  CHECK(streams.result.samples.front().disk_bytes > 4 * kMiB);
  options.ram_bytes.reset();
  const Measured resident = measure(streamed, options, {0, 4, 0, 1}, {16, 1, true});
  CHECK(resident.result.samples.front().disk_bytes < kMiB);
}

TEST_CASE(
    "the machine's rates are measured with every instruction set, memory where it is enough") {
  Team team(2);
  const std::vector<std::byte> little(1 << 20), enough(64 << 20);
  for (const Isa isa : kAllIsas) {
    if (!isa_present(isa)) continue;
    const MachineRates rates = measure_machine_rates(team, cpu_op_table(isa), little);
    CHECK(rates.dram_bytes_per_s == 0);
    CHECK(rates.int8_ops_per_s > 0);
    CHECK(rates.f32_ops_per_s > 0);
  }
  CHECK(measure_machine_rates(team, cpu_op_table(Isa::kScalar), enough).dram_bytes_per_s > 0);
}

}  // namespace
}  // namespace windlass
