#include "pipeline/speed_case.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "pipeline/phase_meter.h"
#include "src/base/clock.h"

namespace windlass {
namespace {

constexpr std::int64_t kPredictedDepths = 8;  // of a decode run: a step's time is linear in between

MachineRates mean(const MachineRates& a, const MachineRates& b) {
  return {(a.dram_bytes_per_s + b.dram_bytes_per_s) / 2, (a.int8_ops_per_s + b.int8_ops_per_s) / 2,
          (a.f32_ops_per_s + b.f32_ops_per_s) / 2};
}

class SpeedRun {
 public:
  SpeedRun(Engine& engine, const Model& model, const SpeedCase& test, const SpeedOptions& options)
      : engine_(engine), test_(test), options_(options), random_(7), ids_(0, last_id(model)) {}

  // All sequences n_depth tokens long.
  void fill(const Progress& progress) {
    for (std::int64_t sequence = 0; sequence < test_.n_seq; ++sequence) {
      if (engine_.n_tokens(sequence) > test_.n_depth) engine_.roll_back(test_.n_depth, sequence);
      feed_prompt(sequence, test_.n_depth - engine_.n_tokens(sequence));
      if (progress) progress(sequence + 1, test_.n_seq, "depth");
    }
  }
  void run(std::int64_t n_gen) {
    for (std::int64_t sequence = 0; sequence < test_.n_seq; ++sequence)
      feed_prompt(sequence, test_.n_prompt);
    for (std::int64_t i = 0; i < n_gen; ++i) feed_one_each();
  }
  void roll_back() {
    for (std::int64_t sequence = 0; sequence < test_.n_seq; ++sequence)
      engine_.roll_back(test_.n_depth, sequence);
  }
  // machine: what it gave before, then after.
  SpeedSample sample(MachineRates& machine) {
    const MachineRates before = machine;
    const Counters begin = engine_.counters();
    run(test_.n_gen);
    const Counters end = engine_.counters();
    roll_back();
    machine = engine_.machine_rates();
    SpeedSample sample;
    sample.machine = mean(before, machine);
    sample.seconds = end.at_s - begin.at_s;
    sample.regions = end.regions - begin.regions;
    sample.disk_bytes = end.link.bytes - begin.link.bytes;
    sample.host_to_vram = {end.host_to_vram.bytes - begin.host_to_vram.bytes,
                           end.host_to_vram.busy_s - begin.host_to_vram.busy_s};
    // Looking for blocks that are all there is no waiting.
    if (sample.disk_bytes > 0) sample.disk_wait_s = end.cpu.wait_s - begin.cpu.wait_s;
    sample.kernel_s = (end.threads_busy_s - begin.threads_busy_s) / engine_.n_threads();
    sample.region_overhead_s =
        (end.region_overhead_s - begin.region_overhead_s) / engine_.n_threads();
    return sample;
  }

 private:
  static std::int32_t last_id(const Model& model) {
    return static_cast<std::int32_t>(model.spec.n_vocab - 1);
  }
  const std::vector<std::int32_t>& next_ids(std::int64_t n) {
    tokens_.resize(static_cast<std::size_t>(n));
    for (std::int32_t& id : tokens_) id = ids_(random_);
    return tokens_;
  }
  void feed_prompt(std::int64_t sequence, std::int64_t n_tokens) {
    for (std::int64_t done = 0; done < n_tokens;) {
      const std::int64_t n = std::min(options_.batch_tokens, n_tokens - done);
      engine_.feed(
          next_ids(n), 1, [](const LogitsTile&) {}, {}, sequence);
      done += n;
    }
  }
  void feed_one_each() {
    next_ids(test_.n_seq);
    parts_.clear();
    for (std::int64_t sequence = 0; sequence < test_.n_seq; ++sequence) {
      const auto first = static_cast<std::size_t>(sequence);
      parts_.push_back({sequence, std::span(tokens_).subspan(first, 1)});
    }
    engine_.feed_together(parts_, [](const StepLogits&) {});
  }

  Engine& engine_;
  const SpeedCase& test_;
  const SpeedOptions& options_;
  std::mt19937 random_;
  std::uniform_int_distribution<std::int32_t> ids_;
  std::vector<std::int32_t> tokens_;
  std::vector<SequenceTokens> parts_;
};

void add_steps(SpeedResult& result, const Engine& engine, const StepLoad& load, double n) {
  const StepForecast forecast = engine.forecast(load);
  result.predicted_s += n * forecast.prediction.step_s;
  result.bound_s += n * forecast.bound.step_s;
  const OpWork work = engine.work(load);
  result.work += {n * work.weight_bytes, n * work.kv_bytes, n * work.int8_ops, n * work.f32_ops};
}

// Each micro-batch of each sequence's prompt.
void add_prompt_steps(SpeedResult& result, const Engine& engine, std::int64_t batch_tokens) {
  const SpeedCase& test = result.test;
  for (std::int64_t done = 0; done < test.n_prompt;) {
    const std::int64_t in_batch = batch_tokens - done % batch_tokens;
    const std::int64_t rows = std::min({engine.max_step_tokens(), in_batch, test.n_prompt - done});
    const bool last = rows == std::min(in_batch, test.n_prompt - done);
    result.steps += test.n_seq;
    add_steps(result, engine, {rows, last ? 1 : 0, test.n_depth + done},
              static_cast<double>(test.n_seq));
    done += rows;
  }
}

// At the middles of equal stretches of the run.
void add_decode_steps(SpeedResult& result, const Engine& engine) {
  const SpeedCase& test = result.test;
  const std::int64_t parts = std::min(kPredictedDepths, test.n_gen);
  result.steps += test.n_gen;
  for (std::int64_t part = 0; part < parts; ++part) {
    const std::int64_t depth =
        test.n_depth + test.n_prompt + (2 * part + 1) * test.n_gen / (2 * parts);
    add_steps(result, engine, {test.n_seq, test.n_seq, depth, test.n_seq},
              static_cast<double>(test.n_gen) / static_cast<double>(parts));
  }
}

}  // namespace

std::string SpeedCase::name() const {
  std::string name = n_prompt > 0 ? fmt::format("pp{}", n_prompt) : std::string();
  if (n_gen > 0) name += fmt::format("{}tg{}", name.empty() ? "" : "+", n_gen);
  if (n_seq > 1) name += fmt::format(" x{}", n_seq);
  if (n_depth > 0) name += fmt::format(" @ d{}", n_depth);
  return name;
}

SpeedResult measure_speed(Engine& engine, const Model& model, const SpeedCase& test,
                          const SpeedOptions& options, const Progress& progress) {
  engine.load(progress);
  SpeedRun run(engine, model, test, options);
  run.fill(progress);
  if (options.warm_up) {
    run.run(std::min<std::int64_t>(test.n_gen, 1));
    run.roll_back();
  }
  SpeedResult result;
  result.test = test;
  add_prompt_steps(result, engine, options.batch_tokens);
  add_decode_steps(result, engine);
  MachineRates machine = engine.machine_rates();
  for (std::int64_t i = 0; i < options.repetitions; ++i) {
    result.samples.push_back(run.sample(machine));
    if (progress) progress(i + 1, options.repetitions, test.name().c_str());
  }
  return result;
}

}  // namespace windlass
