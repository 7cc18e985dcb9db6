// windlass perplexity: llama-perplexity's method. The text is cut into windows of -c tokens; each
// runs alone from position 0 and its second half is scored; the rest of the text is dropped.
#include <cmath>
#include <nlohmann/json.hpp>

#include "pipeline/eval/teacher_forcing.h"
#include "pipeline/open_gpu.h"
#include "src/base/error.h"
#include "tools/eval_text.h"
#include "tools/outputs.h"
#include "tools/session.h"

namespace windlass {
namespace {

struct Score {
  double nll_sum = 0;
  std::int64_t n_scored = 0;
  double perplexity() const { return std::exp(nll_sum / static_cast<double>(n_scored)); }
};

Score score_text(Engine& engine, const TokenWindows& windows, ProgressDisplay& display) {
  Score total;
  const auto on_window = [&](std::int64_t window, std::span<const RowScore> rows) {
    double nll_sum = 0;
    for (const RowScore& row : rows) nll_sum += row.nll();
    total.nll_sum += nll_sum;
    total.n_scored += std::ssize(rows);
    display.say(fmt::format("window {} of {}: perplexity so far {:.4f}", window + 1,
                            windows.count(), total.perplexity()));
  };
  score_windows(engine, windows, {.on_window = on_window}, display.callback());
  return total;
}

}  // namespace

int perplexity_command(const Invocation& invocation) {
  const Options& options = invocation.options;
  EngineOptions engine_options = make_engine_options(options);
  const std::int64_t window = eval_window_tokens(options);
  const Model model = open_model(require_model(options));
  check_outputs(options, model.tensors.files);
  EvalText text = read_eval_text(invocation, model);
  require_window(options, text, window);
  const TokenWindows windows =
      cut_windows(std::move(text.tokens), window, text.bos, options.chunks);

  ProgressDisplay display(options.progress);
  set_scoring_shape(engine_options, windows.shape);
  engine_options.table_bytes =
      text.tokenizer_bytes + windows.size_bytes() + scoring_bytes(windows.shape);
  Profile profile = obtain_profile(options, engine_options, model.path, display);
  use_gpu(engine_options, profile);
  Engine engine(model, engine_options, profile);
  check_memory(engine);
  const Score score = score_text(engine, windows, display);
  Receipt receipt = engine.receipt();
  receipt.prompt_tokens = std::ssize(windows.tokens);
  finish_run(options, engine, receipt,
             {{"perplexity", score.perplexity()}, {"n_scored", score.n_scored}},
             fmt::format("perplexity {:.4f} over {} tokens\n", score.perplexity(), score.n_scored));
  return 0;
}

}  // namespace windlass
