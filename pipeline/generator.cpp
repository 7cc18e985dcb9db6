#include "pipeline/generator.h"

#include <algorithm>
#include <optional>

#include "src/base/clock.h"
#include "src/base/error.h"

namespace windlass {
namespace {

// Passes text on, except that a part which could still become a stop string is held back until it
// cannot.
class StopFilter {
 public:
  explicit StopFilter(const std::vector<std::string>& stops) : stops_(stops) {}

  // What may be shown now. found() afterwards tells whether a stop string appeared.
  std::string push(std::string_view text) {
    held_ += text;
    std::size_t first = std::string::npos;
    for (const std::string& stop : stops_) first = std::min(first, held_.find(stop));
    if (first != std::string::npos) {
      found_ = true;
      return std::exchange(held_, std::string()).substr(0, first);
    }
    const std::size_t keep = longest_open_end();
    std::string out = held_.substr(0, held_.size() - keep);
    held_.erase(0, out.size());
    return out;
  }
  std::string finish() { return std::exchange(held_, std::string()); }
  bool found() const { return found_; }

 private:
  // Length of the longest end of held_ that begins a stop string.
  std::size_t longest_open_end() const {
    std::size_t longest = 0;
    for (const std::string& stop : stops_) {
      for (std::size_t n = std::min(stop.size() - 1, held_.size()); n > longest; --n) {
        if (held_.compare(held_.size() - n, n, stop, 0, n) == 0) longest = n;
      }
    }
    return longest;
  }

  const std::vector<std::string>& stops_;
  std::string held_;
  bool found_ = false;
};

// Where text goes: the result, and the listener.
class TextOutput {
 public:
  TextOutput(const GenerateOptions& options, GenerateResult& result,
             const std::function<void(std::string_view)>& on_text)
      : filter_(options.stop), result_(result), on_text_(on_text) {}
  void push(std::string_view text) { emit(filter_.push(text)); }
  void finish(std::string_view rest) {
    push(rest);
    if (!filter_.found()) emit(filter_.finish());
  }
  bool stopped() const { return filter_.found(); }

 private:
  void emit(const std::string& text) {
    if (text.empty()) return;
    result_.text += text;
    if (on_text_) on_text_(text);
  }
  StopFilter filter_;
  GenerateResult& result_;
  const std::function<void(std::string_view)>& on_text_;
};

void check_options(const GenerateOptions& options) {
  for (const std::string& stop : options.stop) {
    if (stop.empty())
      fail(ErrorCode::kUsage, "--stop: an empty stop string would end every text at once");
  }
}

// The logits after these tokens; nothing if the step was interrupted.
std::optional<std::span<const float>> feed(Engine& engine, std::span<const std::int32_t> tokens,
                                           const Progress& progress) {
  try {
    return engine.feed_for_last(tokens, progress);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInterrupted) throw;
    return std::nullopt;
  }
}

}  // namespace

const char* finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kInterrupted:
      return "interrupted";
  }
  return "";
}

GenerateResult generate(Engine& engine, const Tokenizer& tokenizer, Sampler& sampler,
                        std::span<const std::int32_t> prompt, const GenerateOptions& options,
                        const std::function<void(std::string_view)>& on_text,
                        const std::function<bool()>& interrupted, const Progress& progress) {
  check_options(options);
  const double begin_s = now_s();
  GenerateResult result;
  TextOutput output(options, result, on_text);
  StreamingDetokenizer detokenizer(tokenizer);
  if (options.max_tokens == 0) return result;
  sampler.begin(prompt);
  if (sampler.finished()) {  // a grammar of the empty text
    result.reason = FinishReason::kStop;
    return result;
  }
  auto logits = feed(engine, prompt, progress);
  while (true) {
    if (!logits) {
      result.reason = FinishReason::kInterrupted;
      break;
    }
    const std::int32_t id = sampler.sample(*logits);
    if (result.ids.empty()) result.ttft_s = now_s() - begin_s;
    if (!options.ignore_eos && tokenizer.is_end_of_generation(id)) {
      result.reason = FinishReason::kStop;
      break;
    }
    result.ids.push_back(id);
    output.push(detokenizer.push(id));
    if (output.stopped() || sampler.finished()) {
      result.reason = FinishReason::kStop;
      break;
    }
    const auto n = static_cast<std::int64_t>(result.ids.size());
    if (n == options.max_tokens || engine.n_tokens() == engine.context_tokens()) break;
    if (interrupted && interrupted()) {
      result.reason = FinishReason::kInterrupted;
      break;
    }
    logits = feed(engine, std::span(&id, 1), {});
  }
  output.finish(detokenizer.finish());
  return result;
}

}  // namespace windlass
