// The sampler's chain.
#include "src/text/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "src/base/check.h"
#include "src/base/error.h"

namespace windlass {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Options as the chain uses them: one bias an id, in ascending order.
SamplingOptions prepare(SamplingOptions options) {
  auto& biases = options.logit_bias;
  std::stable_sort(biases.begin(), biases.end(),
                   [](const LogitBias& a, const LogitBias& b) { return a.id < b.id; });
  std::vector<LogitBias> sums;
  for (const LogitBias& bias : biases) {
    if (!sums.empty() && sums.back().id == bias.id) {
      sums.back().bias += bias.bias;
    } else {
      sums.push_back(bias);
    }
  }
  biases = std::move(sums);
  return options;
}

// Truncations cannot take the likeliest away, except for typical and XTC.
bool is_greedy(const SamplingOptions& o) {
  const auto has = [&](SamplerStage stage) {
    return std::find(o.stages.begin(), o.stages.end(), stage) != o.stages.end();
  };
  return o.temperature == 0.0 && has(SamplerStage::kTemperature) && o.mirostat == 0 &&
         o.logit_bias.empty() && !(has(SamplerStage::kPenalties) && uses_penalties(o)) &&
         !(has(SamplerStage::kDry) && uses_dry(o)) && !(has(SamplerStage::kXtc) && uses_xtc(o)) &&
         !(has(SamplerStage::kTypicalP) && o.typical_p < 1.0);
}

std::int64_t checked_vocabulary(const SamplingOptions& options, std::int64_t n_vocab) {
  WINDLASS_CHECK(n_vocab > 0 && n_vocab <= INT32_MAX, n_vocab);
  check_sampling_options(options, n_vocab);
  return n_vocab;
}

}  // namespace

Sampler::Sampler(const SamplingOptions& options, std::int64_t n_vocab, SamplerSetting setting)
    : options_(prepare(options)),
      n_vocab_(checked_vocabulary(options, n_vocab)),
      greedy_(is_greedy(options)),
      random_(options.seed),
      history_(options, n_vocab, setting.context_tokens, setting.tokenizer),
      mirostat_(options, n_vocab),
      filter_(std::move(setting.filter)),
      candidates_(greedy_ ? 1 : n_vocab, options.typical_p < 1.0 && !greedy_) {}

void Sampler::begin(std::span<const std::int32_t> prompt) {
  for (const std::int32_t id : prompt) history_.push(id);
  if (filter_) filter_->restart();
}

std::int32_t Sampler::sample(std::span<const float> logits) {
  WINDLASS_CHECK(static_cast<std::int64_t>(logits.size()) == n_vocab_, logits.size(), n_vocab_);
  if (std::all_of(logits.begin(), logits.end(), [](float logit) { return std::isnan(logit); })) {
    fail(ErrorCode::kBadFile, "all {} logits are NaN: the model's weights are damaged",
         logits.size());
  }
  if (filter_) filter_->prepare();
  const std::int32_t id = choose(logits);
  history_.push(id);
  if (filter_) filter_->accept(id);
  return id;
}

std::int32_t Sampler::choose(std::span<const float> logits) {
  collect(logits);
  // An infinite maximum leaves nothing to weigh: it is certain, or nothing is likelier than else.
  if (candidates_.items().empty()) return fallback_;
  if (greedy_ || candidates_.best().logit == kInfinity) return candidates_.best().id;
  if (options_.mirostat != 0) {
    candidates_.heat(options_.temperature);
    return mirostat_.choose(candidates_, random_);
  }
  for (const SamplerStage stage : options_.stages) run(stage);
  return candidates_.items()[candidates_.draw(random_)].id;
}

void Sampler::collect(std::span<const float> logits) {
  candidates_.clear();
  fallback_ = -1;
  auto bias = options_.logit_bias.begin();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const auto id = static_cast<std::int32_t>(i);
    float logit = logits[i];
    if (bias != options_.logit_bias.end() && bias->id == id) logit += (bias++)->bias;
    if (std::isnan(logit) || (filter_ && !filter_->allows(id))) continue;
    if (fallback_ < 0) fallback_ = id;
    if (logit == -kInfinity) continue;
    if (!greedy_) {
      candidates_.add(logit, id);
    } else if (candidates_.items().empty() || logit > candidates_.items().front().logit) {
      candidates_.clear();
      candidates_.add(logit, id);
    }
  }
  if (fallback_ < 0)
    fail(ErrorCode::kBadFile, "the logit of every token that the grammar allows is NaN");
}

void Sampler::run(SamplerStage stage) {
  switch (stage) {
    case SamplerStage::kPenalties:
      if (uses_penalties(options_)) history_.apply_penalties(candidates_.change());
      return;
    case SamplerStage::kDry:
      if (uses_dry(options_)) history_.apply_dry(candidates_.change());
      return;
    case SamplerStage::kTopNSigma:
      return candidates_.keep_top_n_sigma(options_.top_n_sigma);
    case SamplerStage::kTopK:
      return candidates_.keep_top_k(options_.top_k);
    case SamplerStage::kTypicalP:
      return candidates_.keep_typical(options_.typical_p);
    case SamplerStage::kTopP:
      return candidates_.keep_top_p(options_.top_p);
    case SamplerStage::kMinP:
      return candidates_.keep_min_p(options_.min_p);
    case SamplerStage::kXtc:
      if (uses_xtc(options_))
        candidates_.exclude_top_choices(options_.xtc_probability, options_.xtc_threshold, random_);
      return;
    case SamplerStage::kTemperature:
      if (options_.temperature == 0.0) return candidates_.keep_best_only();
      return candidates_.heat(options_.temperature);
  }
}

std::int64_t Sampler::size_bytes() const {
  return static_cast<std::int64_t>(sizeof(*this)) + candidates_.size_bytes() +
         history_.size_bytes() + (filter_ ? filter_->size_bytes() : 0);
}

}  // namespace windlass
