#include "tools/compare_sides.h"

#include "pipeline/eval/recall.h"
#include "src/base/error.h"
#include "src/model/fingerprint.h"
#include "tools/command_line.h"
#include "tools/session.h"

namespace windlass {
namespace {

constexpr std::int64_t kDefaultProbes = 8;

Side open_side(Options options, const std::string& model) {
  options.model = model;
  make_engine_options(options);  // what is wrong with the flags is said before the model is opened
  return {options, open_model(model)};
}

}  // namespace

std::string Side::settings() const {
  const EngineOptions engine = make_engine_options(options);
  return fmt::format(
      "{} activations, {} KV, {}{}", options.exact ? "f32" : "8-bit",
      options.cache_type_k == options.cache_type_v
          ? options.cache_type_k
          : options.cache_type_k + "/" + options.cache_type_v,
      isa_name(engine.isa),
      options.micro_batch_tokens > 0 ? fmt::format(", -ub {}", options.micro_batch_tokens) : "");
}

Sides open_sides(const Options& o) {
  if (o.models.empty()) require_model(o);
  if (o.models.size() > 2) {
    fail(ErrorCode::kUsage, "-m was given {} times: compare has two sides", o.models.size());
  }
  if (!o.logits.empty() && !o.save_logits.empty()) {
    fail(ErrorCode::kUsage, "--save-logits cannot act with --logits: side A is not run");
  }
  const bool two = o.models.size() == 2, set = !o.side_b_settings.empty();
  Sides sides;
  if (two || set || o.logits.empty()) sides.a = open_side(o, o.models.front());
  if (two || set || !o.logits.empty()) {
    sides.b = open_side(set ? with_side_settings(o, o.side_b_settings) : o, o.models.back());
  }
  if (!sides.b && o.save_logits.empty() && o.recall_tokens == 0) {
    fail(ErrorCode::kUsage,
         "nothing to compare with: give a second -m, --settings, or --logits (or --save-logits, to "
         "compare later)");
  }
  return sides;
}

TokenWindows make_windows(const Invocation& invocation, EvalText& text) {
  const Options& o = invocation.options;
  const std::int64_t window = eval_window_tokens(o);
  if (o.recall_tokens == 0) {
    require_window(o, text, window);
    return cut_windows(std::move(text.tokens), window, text.bos, o.chunks);
  }
  if (o.recall_tokens < 1) {
    fail(ErrorCode::kUsage, "--recall {}: a distance of at least 1 token", o.recall_tokens);
  }
  if (o.context_tokens > 0)
    fail(ErrorCode::kUsage, "-c cannot act with --recall: the distance decides");
  return make_recall_probes(text.tokens, {o.recall_tokens},
                            o.chunks > 0 ? o.chunks : kDefaultProbes, text.bos, o.eval_seed);
}

void require_same_vocabulary(const BaselineIdentity& a, const std::string& b_name,
                             std::int64_t b_size, std::uint64_t b_vocabulary) {
  if (a.n_vocab != b_size) {
    fail(ErrorCode::kUsage, "{} has a vocabulary of {} tokens, {} one of {}: no comparison",
         a.model, a.n_vocab, b_name, b_size);
  }
  if (a.vocabulary != 0 && b_vocabulary != 0 && a.vocabulary != b_vocabulary) {
    fail(ErrorCode::kUsage, "{} and {} have vocabularies of {} different tokens: no comparison",
         a.model, b_name, b_size);
  }
}

void require_match(const std::string& path, const BaselineIdentity& saved,
                   const BaselineIdentity& wanted, const std::optional<Side>& a) {
  if (a && saved.fingerprint != wanted.fingerprint) {
    fail(ErrorCode::kUsage, "{} holds the logits of another model ({}), not of {}", path,
         saved.model, a->model.path);
  }
  require_same_vocabulary(saved, wanted.model, wanted.n_vocab, wanted.vocabulary);
  if (saved.shape.window_tokens != wanted.shape.window_tokens) {
    fail(ErrorCode::kUsage, "{} holds windows of {} tokens, asked for are {} (-c)", path,
         saved.shape.window_tokens, wanted.shape.window_tokens);
  }
  if (saved.n_windows != wanted.n_windows) {
    fail(ErrorCode::kUsage, "{} holds {} windows, the text has {}: another text, or --chunks", path,
         saved.n_windows, wanted.n_windows);
  }
  if (saved.windows != wanted.windows)
    fail(ErrorCode::kUsage, "{} holds the logits of another text, of other token ids", path);
}

BaselineIdentity identity_of(const Side& side, const EvalText& text, const TokenWindows& windows) {
  BaselineIdentity identity;
  identity.model = side.model.path;
  identity.settings = side.settings();
  identity.fingerprint = model_fingerprint(side.model.tensors);
  identity.vocabulary = text.vocabulary;
  identity.windows = windows.hash();
  identity.n_vocab = side.model.spec.n_vocab;
  identity.n_windows = windows.count();
  identity.tile_columns = identity.n_vocab;  // until an engine says: the most that it can be
  identity.shape = windows.shape;
  return identity;
}

}  // namespace windlass
