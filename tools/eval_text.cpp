#include "tools/eval_text.h"

#include <algorithm>
#include <span>

#include "pipeline/eval/text_passages.h"
#include "src/base/checksum.h"
#include "src/base/error.h"
#include "tools/session.h"

namespace windlass {
namespace {

constexpr std::int64_t kDefaultWindow = 512;

// Each calibration text is read, hashed and let go before the next.
void refuse_calibration_texts(const Options& options, const std::string& text,
                              const TextLimit& limit) {
  for (const std::string& path : options.calibrated_on) {
    const TextPassages calibration(read_text_file(path, limit));
    const auto shared = calibration.find_shared_passage(text);
    if (!shared) continue;
    constexpr std::size_t kShown = 60;
    std::size_t cut = std::min(shared->size(), kShown);
    while (cut < shared->size() && (static_cast<unsigned char>((*shared)[cut]) & 0xC0) == 0x80)
      ++cut;  // a whole character
    fail(ErrorCode::kUsage,
         "{} shares a passage with the calibration text {} (\"{}...\"): score a text that nothing "
         "was fitted to",
         options.file, path, shared->substr(0, cut));
  }
}

}  // namespace

std::uint64_t vocabulary_hash(const Tokenizer& tokenizer) {
  std::uint64_t hash = 0;
  bool has_text = false;
  for (std::int32_t id = 0; id < tokenizer.n_vocab(); ++id) {
    const std::string_view bytes = tokenizer.token_bytes(id, true);
    has_text = has_text || !bytes.empty();
    // Of vocabularies that differ in empty tokens at the end alone the ids mean the same.
    if (!bytes.empty()) {
      hash = checksum64(std::as_bytes(std::span(&id, 1)), hash);
      hash = checksum64(std::as_bytes(std::span(bytes)), hash);
    }
  }
  return has_text ? std::max<std::uint64_t>(hash, 1) : 0;
}

EvalText read_eval_text(const Invocation& invocation, const Model& model) {
  const Options& options = invocation.options;
  const bool from_ids = invocation.given("ids");
  if (from_ids == invocation.given("file")) {
    fail(ErrorCode::kUsage, "{}: use one of -f FILE, --ids FILE",
         from_ids ? "more than one text given" : "no text given");
  }
  if (from_ids && !options.calibrated_on.empty()) {
    fail(ErrorCode::kUsage,
         "--calibrated-on cannot act on --ids: it compares texts, give one with -f");
  }
  const TextLimit limit = memory_text_limit(make_engine_options(options).ram_bytes);
  std::vector<std::string> no_text_needed;
  const auto tokenizer = make_tokenizer_or_ids(model, &no_text_needed);
  EvalText text;
  text.vocabulary = vocabulary_hash(*tokenizer);
  text.tokenizer_bytes = tokenizer->size_bytes();
  if (tokenizer->adds_bos()) text.bos = tokenizer->bos_id();
  if (from_ids) {
    text.tokens = read_given_ids(options, model, limit);
    return text;
  }
  const std::string words = read_prompt_text(invocation, limit);
  refuse_calibration_texts(options, words, limit);
  text.tokens = tokenizer->encode(words, {.parse_special = false, .add_special = true});
  return text;
}

std::int64_t eval_window_tokens(const Options& options) {
  const std::int64_t window = options.context_tokens > 0 ? options.context_tokens : kDefaultWindow;
  if (window < 4) fail(ErrorCode::kUsage, "-c {}: a window has at least 4 tokens", window);
  if (options.chunks < 0)
    fail(ErrorCode::kUsage, "--chunks {}: must not be negative", options.chunks);
  return window;
}

void require_window(const Options& options, const EvalText& text, std::int64_t window_tokens) {
  if (std::ssize(text.tokens) >= window_tokens) return;
  fail(ErrorCode::kUsage,
       "{} has {} tokens, less than one window of {}: use a longer text or a smaller -c",
       options.ids.empty() ? options.file : options.ids, text.tokens.size(), window_tokens);
}

}  // namespace windlass
