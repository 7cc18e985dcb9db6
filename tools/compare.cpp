// windlass compare: how far a model, or a setting, is from another on a text. Side A runs first and
// its logits go to a file; side B runs then and meets them there: never are both in memory.
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "pipeline/eval/divergence.h"
#include "pipeline/eval/recall.h"
#include "pipeline/open_gpu.h"
#include "pipeline/session_plan.h"
#include "src/base/error.h"
#include "src/base/units.h"
#include "tools/compare_sides.h"
#include "tools/outputs.h"
#include "tools/session.h"

namespace windlass {
namespace {

// The file between the sides: --save-logits, or one that goes when it is open.
class BaselinePath {
 public:
  explicit BaselinePath(const Options& options) : path_(options.save_logits) {
    if (!path_.empty()) return;
    const std::string folder = cache_dir(options);
    std::error_code ignored;  // creating the file says what is wrong
    std::filesystem::create_directories(folder, ignored);
    path_ = fmt::format("{}/compare-{}.logits", folder, ::getpid());
    temporary_ = true;
  }
  ~BaselinePath() { remove(); }
  BaselinePath(const BaselinePath&) = delete;
  BaselinePath& operator=(const BaselinePath&) = delete;
  const std::string& path() const { return path_; }
  void remove() const {
    if (temporary_) ::unlink(path_.c_str());
  }

 private:
  std::string path_;
  bool temporary_ = false;
};

// What both sides' runs share.
struct Job {
  const Options& options;
  const EvalText& text;
  const TokenWindows& windows;
  ProgressDisplay& display;
};

// table_bytes: beside tokens, tokenizer and scores.
EngineOptions engine_options(const Job& job, const Side& side, std::int64_t table_bytes) {
  EngineOptions options = make_engine_options(side.options);
  set_scoring_shape(options, job.windows.shape);
  options.table_bytes = job.text.tokenizer_bytes + job.windows.size_bytes() +
                        scoring_bytes(job.windows.shape) + table_bytes;
  return options;
}

// Beside those of engine_options(), of side B against side A.
std::int64_t meeting_bytes(const BaselineIdentity& a, std::int64_t n_vocab) {
  return DivergenceMeter::size_bytes(a, n_vocab) + BaselineReader::buffer_bytes(a) +
         statistics_bytes(a.n_rows(), a.shape.rows());
}

// Both sides must find room before side A runs. `a`: with tiles of the whole vocabulary, the most
// that they can be.
void require_room(const Job& job, const Sides& sides, const BaselineIdentity& a) {
  std::int64_t least_bytes = 0;
  const auto consider = [&](const Side& side, std::int64_t table_bytes) {
    EngineOptions options = engine_options(job, side, table_bytes);
    Profile profile = obtain_profile(side.options, options, side.model.path, job.display);
    use_gpu(options, profile);
    least_bytes = std::max(least_bytes, least_ram_bytes(side.model, options, profile));
  };
  consider(*sides.a, BaselineWriter::buffer_bytes(a));
  consider(*sides.b, meeting_bytes(a, sides.b->model.spec.n_vocab));
  const std::int64_t given = make_engine_options(job.options).ram_bytes.value_or(auto_ram_bytes());
  if (given >= least_bytes) return;
  fail(ErrorCode::kNoSpace,
       "--ram {} is too small for the two sides, one after the other; the least that works for "
       "both is --ram {}MiB",
       format_size(given), (least_bytes + kMiB - 1) / kMiB);
}

// The engine holds job.options' trace only where `last` is set.
std::unique_ptr<Engine> open_engine(const Job& job, const Side& side, std::int64_t table_bytes,
                                    bool last) {
  EngineOptions options = engine_options(job, side, table_bytes);
  if (!last) options.trace_path.clear();
  Profile profile = obtain_profile(side.options, options, side.model.path, job.display);
  use_gpu(options, profile);
  auto engine = std::make_unique<Engine>(side.model, options, profile);
  check_memory(*engine);
  return engine;
}

Receipt receipt_of(const Job& job, const Engine& engine) {
  Receipt receipt = engine.receipt();
  receipt.prompt_tokens = std::ssize(job.windows.tokens);
  return receipt;
}

void say_window(const Job& job, const char* side, std::int64_t window) {
  job.display.say(fmt::format("side {}: window {} of {}", side, window + 1, job.windows.count()));
}

struct SideRun {
  std::unique_ptr<Engine> engine;  // as it ended
  std::vector<SideRow> rows;
};

// Writes `path` unless it is empty; keeps rows where `keep_rows`.
SideRun run_side_a(const Job& job, const Side& side, BaselineIdentity identity,
                   const std::string& path, bool keep_rows) {
  SideRun run;
  const std::int64_t row_bytes =
      keep_rows ? identity.n_rows() * static_cast<std::int64_t>(sizeof(SideRow)) +
                      statistics_bytes(identity.n_rows(), identity.shape.rows())
                : 0;
  run.engine =
      open_engine(job, side, BaselineWriter::buffer_bytes(identity) + row_bytes, keep_rows);
  identity.tile_columns = run.engine->logits_tile_columns();
  std::optional<BaselineWriter> writer;
  if (!path.empty()) writer.emplace(path, identity);
  ScoringSinks sinks;
  if (writer) sinks.on_tile = [&](const RowTile& tile) { writer->add(tile); };
  sinks.on_window = [&](std::int64_t window, std::span<const RowScore> rows) {
    if (writer) writer->add_window(window, rows);
    for (const RowScore& row : rows) {
      if (keep_rows) run.rows.push_back({row.nll(), row.top_id(), row.top_is_target()});
    }
    say_window(job, "A", window);
  };
  if (keep_rows) run.rows.reserve(static_cast<std::size_t>(identity.n_rows()));
  score_windows(*run.engine, job.windows, sinks, job.display.callback());
  if (writer) writer->finish();
  return run;
}

nlohmann::json side_json(const BaselineIdentity& identity) {
  return {{"model", identity.model},
          {"settings", identity.settings},
          {"fingerprint", fmt::format("{:016x}", identity.fingerprint)}};
}

std::string side_text(const char* name, const BaselineIdentity& identity) {
  return fmt::format("{}: {} ({})\n", name, identity.model, identity.settings);
}

nlohmann::json windows_json(const Job& job) {
  nlohmann::json json = {{"window_tokens", job.windows.shape.window_tokens},
                         {"n_windows", job.windows.count()}};
  if (job.options.recall_tokens > 0) json["recall_distance_tokens"] = job.options.recall_tokens;
  return json;
}

std::string recall_text(const Job& job) {
  if (job.options.recall_tokens == 0) return "";
  return fmt::format(
      "{} strings of {} tokens, planted {} tokens back, cued with {}: 'Top is next' is the "
      "recall\n",
      job.windows.count(), RecallShape::kStringTokens, job.options.recall_tokens,
      RecallShape::kCueTokens);
}

int finish_side_a(const Job& job, const SideRun& run, const BaselineIdentity& identity) {
  const SideStatistics statistics =
      side_statistics(run.rows, identity.shape.rows(), job.options.eval_seed);
  nlohmann::json json = windows_json(job);
  json["n_scored"] = statistics.n_scored;
  json["a"] = to_json(statistics);
  json["a"].update(side_json(identity));
  finish_run(job.options, *run.engine, receipt_of(job, *run.engine), json,
             side_text("A", identity) + recall_text(job) + format_side(statistics, "A"));
  return 0;
}

int compare_with(const Job& job, const Side& side, const BaselineIdentity& identity,
                 BaselineReader& baseline, const std::optional<Receipt>& receipt_a) {
  const BaselineIdentity& a = baseline.identity();
  const auto engine = open_engine(job, side, meeting_bytes(a, identity.n_vocab), true);
  DivergenceMeter meter(baseline);
  ScoringSinks sinks;
  sinks.on_tile = [&](const RowTile& tile) { meter.add(tile); };
  sinks.on_window = [&](std::int64_t window, std::span<const RowScore> rows) {
    meter.add_window(window, rows);
    say_window(job, "B", window);
  };
  score_windows(*engine, job.windows, sinks, job.display.callback());
  const ComparisonStatistics statistics =
      comparison_statistics(meter.rows(), a.shape.rows(), job.options.eval_seed);
  nlohmann::json json = windows_json(job);
  json.update(to_json(statistics));
  json["a"].update(side_json(a));
  json["b"].update(side_json(identity));
  if (receipt_a) json["receipt_a"] = to_json(*receipt_a);
  finish_run(job.options, *engine, receipt_of(job, *engine), json,
             side_text("A", a) + side_text("B", identity) + recall_text(job) + "\n" +
                 format_comparison(statistics));
  return 0;
}

}  // namespace

int compare_command(const Invocation& invocation) {
  const Options& options = invocation.options;
  const Sides sides = open_sides(options);
  const Side& first = sides.a ? *sides.a : *sides.b;
  std::vector<ModelFile> files = first.model.tensors.files;
  if (sides.b) {
    files.insert(files.end(), sides.b->model.tensors.files.begin(),
                 sides.b->model.tensors.files.end());
  }
  check_outputs(options, files);
  EvalText text = read_eval_text(invocation, first.model);
  const TokenWindows windows = make_windows(invocation, text);
  const BaselineIdentity identity = identity_of(first, text, windows);
  if (sides.a && options.models.size() == 2) {
    std::vector<std::string> no_text_needed;
    const auto tokenizer = make_tokenizer_or_ids(sides.b->model, &no_text_needed);
    text.tokenizer_bytes = std::max(text.tokenizer_bytes, tokenizer->size_bytes());
    require_same_vocabulary(identity, sides.b->model.path, sides.b->model.spec.n_vocab,
                            vocabulary_hash(*tokenizer));
  }
  ProgressDisplay display(options.progress);
  const Job job{options, text, windows, display};
  if (!options.logits.empty()) {
    BaselineReader baseline(options.logits);
    require_match(options.logits, baseline.identity(), identity, sides.a);
    return compare_with(job, *sides.b, identity_of(*sides.b, text, windows), baseline, {});
  }
  if (!sides.b) {
    const SideRun run = run_side_a(job, *sides.a, identity, options.save_logits, true);
    return finish_side_a(job, run, identity);
  }
  require_room(job, sides, identity);
  const BaselinePath baseline_path(options);
  Receipt receipt;
  {
    const SideRun run = run_side_a(job, *sides.a, identity, baseline_path.path(), false);
    receipt = receipt_of(job, *run.engine);
  }
  if (!options.json) std::fputs(format_receipt(receipt).c_str(), stderr);
  BaselineReader baseline(baseline_path.path());
  baseline_path.remove();
  return compare_with(job, *sides.b, identity_of(*sides.b, text, windows), baseline, receipt);
}

}  // namespace windlass
