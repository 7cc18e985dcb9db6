// windlass perplexity: llama-perplexity's method. The text is cut into windows of -c tokens; each
// runs alone from position 0 and its second half is scored; the rest of the text is dropped.
#include <cmath>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>

#include "src/base/error.h"
#include "tools/outputs.h"
#include "tools/session.h"

namespace windlass {
namespace {

constexpr std::int64_t kDefaultWindow = 512;
constexpr std::int64_t kScoreBytes = 24;  // three doubles a row of the window

// The second half of a window is scored: its logits, and its tokens but the first.
std::int64_t scored_rows(std::int64_t window) { return window - window / 2; }

// Negative log-likelihood of the next token of each scored row, from tiles of logits: a running
// maximum and sum of exponentials per row, so that no row is ever held whole.
class WindowScore {
 public:
  explicit WindowScore(std::span<const std::int32_t> tokens)
      : tokens_(tokens),
        first_scored_(static_cast<std::int64_t>(tokens.size()) / 2),
        rows_(tokens.size()) {}

  void add(const LogitsTile& tile) {
    for (std::int64_t i = 0; i < tile.rows; ++i) {
      const std::int64_t position = tile.first_position + i;
      if (position + 1 == static_cast<std::int64_t>(tokens_.size()))
        continue;  // nothing follows it
      add_row(position, {tile.data + i * tile.stride, static_cast<std::size_t>(tile.columns)},
              tile.first_column);
    }
  }
  std::int64_t n_scored() const {
    return static_cast<std::int64_t>(tokens_.size()) - 1 - first_scored_;
  }
  double sum() const {
    double total = 0;
    for (std::size_t i = static_cast<std::size_t>(first_scored_); i + 1 < rows_.size(); ++i) {
      total += rows_[i].maximum + std::log(rows_[i].exp_sum) - rows_[i].target;
    }
    return total;
  }

 private:
  struct Row {
    double maximum = -std::numeric_limits<double>::infinity();
    double exp_sum = 0;  // of exp(logit - maximum)
    double target = 0;   // logit of the token that came
  };

  void add_row(std::int64_t position, std::span<const float> logits, std::int64_t first_column) {
    Row& row = rows_[static_cast<std::size_t>(position)];
    const std::int64_t target = tokens_[static_cast<std::size_t>(position) + 1] - first_column;
    if (target >= 0 && target < static_cast<std::int64_t>(logits.size())) {
      row.target = static_cast<double>(logits[static_cast<std::size_t>(target)]);
    }
    float maximum = logits[0];
    for (const float logit : logits) maximum = std::max(maximum, logit);
    const double new_maximum = std::max(row.maximum, static_cast<double>(maximum));
    const auto base = static_cast<float>(new_maximum);
    double exp_sum = 0;
    for (const float logit : logits) exp_sum += static_cast<double>(std::exp(logit - base));
    row.exp_sum = row.exp_sum * std::exp(row.maximum - new_maximum) + exp_sum;
    row.maximum = new_maximum;
  }

  std::span<const std::int32_t> tokens_;
  std::int64_t first_scored_;
  std::vector<Row> rows_;
};

struct Score {
  double nll_sum = 0;
  std::int64_t n_scored = 0;
  double perplexity() const { return std::exp(nll_sum / static_cast<double>(n_scored)); }
};

std::vector<std::int32_t> read_tokens(const Invocation& invocation, const Tokenizer& tokenizer,
                                      std::int64_t window, const TextLimit& limit) {
  if (!invocation.given("file")) fail(ErrorCode::kUsage, "no text given: use -f FILE");
  const std::vector<std::int32_t> tokens = tokenizer.encode(
      read_prompt_text(invocation, limit), {.parse_special = false, .add_special = true});
  if (static_cast<std::int64_t>(tokens.size()) < window) {
    fail(ErrorCode::kUsage,
         "{} has {} tokens, less than one window of {}: use a longer text or a smaller -c",
         invocation.options.file, tokens.size(), window);
  }
  return tokens;
}

Score score_window(Engine& engine, std::span<const std::int32_t> tokens, ProgressDisplay& display) {
  WindowScore window(tokens);
  engine.roll_back(0);
  engine.feed(
      tokens, scored_rows(static_cast<std::int64_t>(tokens.size())),
      [&](const LogitsTile& tile) { window.add(tile); }, display.callback());
  return {window.sum(), window.n_scored()};
}

Score score_text(Engine& engine, std::vector<std::int32_t>& tokens, const Tokenizer& tokenizer,
                 std::int64_t window, ProgressDisplay& display) {
  const std::int64_t n_windows = static_cast<std::int64_t>(tokens.size()) / window;
  Score total;
  for (std::int64_t i = 0; i < n_windows; ++i) {
    const std::span<std::int32_t> part = std::span(tokens).subspan(
        static_cast<std::size_t>(i * window), static_cast<std::size_t>(window));
    if (tokenizer.adds_bos() && tokenizer.bos_id())
      part[0] = *tokenizer.bos_id();  // each window begins like a text
    const Score score = score_window(engine, part, display);
    total.nll_sum += score.nll_sum;
    total.n_scored += score.n_scored;
    display.clear();
    fmt::print(stderr, "window {} of {}: perplexity so far {:.4f}\n", i + 1, n_windows,
               total.perplexity());
  }
  return total;
}

}  // namespace

int perplexity_command(const Invocation& invocation) {
  const Options& options = invocation.options;
  EngineOptions engine_options = make_engine_options(options);
  const std::int64_t window = options.context_tokens > 0 ? options.context_tokens : kDefaultWindow;
  if (window < 4) fail(ErrorCode::kUsage, "-c {}: a window has at least 4 tokens", window);
  const Model model = open_model(require_model(options));
  check_outputs(options, model.tensors.files);
  const auto tokenizer = make_tokenizer(model.tensors);
  std::vector<std::int32_t> tokens =
      read_tokens(invocation, *tokenizer, window, memory_text_limit(engine_options.ram_bytes));

  ProgressDisplay display(options.progress);
  engine_options.context_tokens = window;
  engine_options.max_rows = window;
  engine_options.logits_rows = scored_rows(window);
  engine_options.table_bytes =
      tokenizer->size_bytes() + id_list_bytes(options, std::ssize(tokens)) + window * kScoreBytes;
  const Profile profile = obtain_profile(options, engine_options, model.path, display);
  Engine engine(model, engine_options, profile);
  check_memory(engine);
  const Score score = score_text(engine, tokens, *tokenizer, window, display);
  Receipt receipt = engine.receipt();
  receipt.prompt_tokens = static_cast<std::int64_t>(tokens.size()) / window * window;
  finish_run(options, engine, receipt,
             {{"perplexity", score.perplexity()}, {"n_scored", score.n_scored}},
             fmt::format("perplexity {:.4f} over {} tokens\n", score.perplexity(), score.n_scored));
  return 0;
}

}  // namespace windlass
