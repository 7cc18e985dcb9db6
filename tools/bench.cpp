// windlass bench: llama-bench's tests, through the engine that `run` uses; and what of the machine
// each of them used.
#include <cstdio>
#include <memory>

#include "pipeline/open_gpu.h"
#include "src/base/error.h"
#include "tools/bench_plan.h"
#include "tools/bench_printer.h"
#include "tools/bench_row.h"
#include "tools/session.h"

namespace windlass {
namespace {

const char* output_format(const Invocation& invocation) {
  const Options& options = invocation.options;
  if (!options.json) return options.bench.format.c_str();
  if (invocation.given("output") && options.bench.format != "json")
    fail(ErrorCode::kUsage, "-o {} cannot be used with --json", options.bench.format);
  return "json";
}

// Refused here, where the test that needs it has a name.
void require_context(const BenchGroup& group, const Model& model) {
  for (const SpeedCase& test : group.tests) {
    if (test.context_tokens() <= model.spec.context_length) continue;
    fail(ErrorCode::kUsage, "{}: needs a context of {} tokens, but {} was trained for {}",
         test.name(), test.context_tokens(), model.path, model.spec.context_length);
  }
}

// Runs the tests of a plan and prints a row for each.
class Bench {
 public:
  Bench(const Options& options, BenchPrinter& printer, std::int64_t n_tests)
      : options_(options), printer_(printer), display_(options.progress), n_tests_(n_tests) {}

  // What can be refused without running anything.
  void check(const BenchGroup& group) { require_context(group, opened(group.model)); }

  void run(const BenchGroup& group) {
    const Model& model = opened(group.model);
    EngineOptions engine_options = make_engine_options(group.options);
    engine_options.context_tokens = group.context_tokens();
    engine_options.max_rows = std::min(group.batch_tokens, engine_options.context_tokens);
    engine_options.n_sequences = group.n_seq();
    Profile profile = profile_for(group, engine_options);
    use_gpu(engine_options, profile);
    Engine engine(model, engine_options, profile);
    check_memory(engine);
    for (const SpeedCase& test : group.tests) run(group, test, engine);
  }
  std::int64_t n_done() const { return n_done_; }

 private:
  void run(const BenchGroup& group, const SpeedCase& test, Engine& engine) {
    const SpeedOptions speed{group.batch_tokens, options_.bench.repetitions,
                             !options_.bench.no_warmup};
    display_.say(fmt::format("test {} of {}: {}", n_done_ + 1, n_tests_, test.name()));
    const std::string begin = now_text();
    const SpeedResult result = measure_speed(engine, *model_, test, speed, display_.callback());
    display_.clear();
    const Receipt receipt = engine.receipt();
    printer_.row(
        make_bench_row({*model_, group, receipt, result, engine.micro_batch_tokens(), begin}));
    ++n_done_;
  }

  // Where it cannot be cached, it is not measured for each group.
  const Profile& profile_for(const BenchGroup& group, const EngineOptions& engine_options) {
    const std::string key = fmt::format("{}:{}", engine_options.threads, group.model);
    if (key != profile_key_) {
      profile_ = obtain_profile(group.options, engine_options, group.model, display_);
      profile_key_ = key;
    }
    return profile_;
  }

  const Model& opened(const std::string& path) {
    if (model_ == nullptr || model_->path != path)
      model_ = std::make_unique<Model>(open_model(path));
    return *model_;
  }

  const Options& options_;
  BenchPrinter& printer_;
  ProgressDisplay display_;
  std::int64_t n_tests_ = 0, n_done_ = 0;
  std::unique_ptr<Model> model_;
  Profile profile_;
  std::string profile_key_;
};

}  // namespace

int bench_command(const Invocation& invocation) {
  const Options& options = invocation.options;
  const std::string format = output_format(invocation);
  const BenchPlan plan = make_bench_plan(options);
  const auto printer = make_bench_printer(options.bench, format);
  Bench bench(options, *printer, plan.n_tests());
  for (const BenchGroup& group : plan.groups) bench.check(group);
  try {
    for (const BenchGroup& group : plan.groups) bench.run(group);
  } catch (const Error& error) {
    const bool interrupted = error.code() == ErrorCode::kInterrupted;
    if (interrupted || bench.n_done() > 0) printer->finish();  // what was measured stays
    if (!interrupted) throw;
    fmt::print(stderr, "windlass: interrupted: {} of {} tests were measured\n", bench.n_done(),
               plan.n_tests());
    return error_exit_code(error.code());
  }
  printer->finish();
  return 0;
}

}  // namespace windlass
