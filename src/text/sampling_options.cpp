#include "src/text/sampling_options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "src/base/error.h"

namespace windlass {
namespace {

struct StageName {
  SamplerStage stage;
  const char* name;
};
constexpr std::array<StageName, 9> kStageNames = {{
    {SamplerStage::kPenalties, "penalties"},
    {SamplerStage::kDry, "dry"},
    {SamplerStage::kTopNSigma, "top_n_sigma"},
    {SamplerStage::kTopK, "top_k"},
    {SamplerStage::kTypicalP, "typ_p"},
    {SamplerStage::kTopP, "top_p"},
    {SamplerStage::kMinP, "min_p"},
    {SamplerStage::kXtc, "xtc"},
    {SamplerStage::kTemperature, "temperature"},
}};

void check_range(const char* flag, double value, double least, double most, const char* use) {
  if (std::isfinite(value) && value >= least && value <= most) return;
  fail(ErrorCode::kUsage, "{} {} is out of range; use {}", flag, value, use);
}

void check_count(const char* flag, std::int64_t value, std::int64_t least, const char* use) {
  if (value >= least && value <= INT32_MAX) return;
  fail(ErrorCode::kUsage, "{} {} is out of range; use {}", flag, value, use);
}

void check_penalties(const SamplingOptions& o) {
  check_count("--repeat-last-n", o.repeat_last_n, -1, "a number of tokens, 0 (off) or -1 (all)");
  check_range("--repeat-penalty", o.repeat_penalty, 1e-3, 1e3, "0.001 to 1000 (1 is off)");
  check_range("--frequency-penalty", o.frequency_penalty, -1e3, 1e3, "-1000 to 1000 (0 is off)");
  check_range("--presence-penalty", o.presence_penalty, -1e3, 1e3, "-1000 to 1000 (0 is off)");
  check_range("--dry-multiplier", o.dry_multiplier, 0, 1e3, "0 (off) to 1000");
  check_range("--dry-base", o.dry_base, 1, 1e3, "1 to 1000");
  check_count("--dry-allowed-length", o.dry_allowed_length, 0, "0 or more");
  check_count("--dry-penalty-last-n", o.dry_penalty_last_n, -1,
              "a number of tokens, 0 (off) or -1 (all)");
  for (const std::string& breaker : o.dry_sequence_breakers) {
    if (breaker.empty())
      fail(ErrorCode::kUsage, "--dry-sequence-breaker: an empty text breaks everything; use none");
  }
}

}  // namespace

bool uses_penalties(const SamplingOptions& o) {
  return o.repeat_last_n != 0 &&
         (o.repeat_penalty != 1.0 || o.frequency_penalty != 0.0 || o.presence_penalty != 0.0);
}

bool uses_dry(const SamplingOptions& o) {
  return o.dry_multiplier > 0.0 && o.dry_penalty_last_n != 0;
}

bool uses_xtc(const SamplingOptions& o) {
  return o.xtc_probability > 0.0 && o.xtc_threshold <= 0.5;
}

void check_sampling_options(const SamplingOptions& o, std::int64_t n_vocab) {
  check_range("--temp", o.temperature, 0, 1e6, "0 (greedy) or more");
  check_count("--top-k", o.top_k, 0, "0 (off) or more");
  check_range("--top-p", o.top_p, 0, 1, "0 to 1 (1 is off)");
  check_range("--min-p", o.min_p, 0, 1, "0 (off) to 1");
  check_range("--typical", o.typical_p, 0, 1, "0 to 1 (1 is off)");
  check_range("--top-nsigma", o.top_n_sigma, -1, 1e6, "-1 (off) or 0 and more");
  check_range("--xtc-probability", o.xtc_probability, 0, 1, "0 (off) to 1");
  check_range("--xtc-threshold", o.xtc_threshold, 0, 1, "0 to 1 (above 0.5 is off)");
  check_penalties(o);
  if (o.mirostat < 0 || o.mirostat > 2)
    fail(ErrorCode::kUsage, "--mirostat {}: use 0 (off), 1 or 2", o.mirostat);
  check_range("--mirostat-ent", o.mirostat_tau, 0, 1e3, "0 to 1000 bits");
  check_range("--mirostat-lr", o.mirostat_eta, 0, 1e3, "0 to 1000");
  if (o.mirostat != 0 && o.temperature == 0.0)
    fail(ErrorCode::kUsage, "--mirostat cannot act at --temp 0: use a temperature above 0");
  for (const LogitBias& bias : o.logit_bias) {
    if (bias.id < 0 || bias.id >= n_vocab) {
      fail(ErrorCode::kUsage, "--logit-bias {}: the vocabulary has {} tokens", bias.id, n_vocab);
    }
  }
}

LogitBias parse_logit_bias(std::string_view text) {
  LogitBias out;
  const char* const end = text.data() + text.size();
  const auto id = std::from_chars(text.data(), end, out.id);
  const char* value = id.ptr;
  const bool signed_value = value != end && (*value == '+' || *value == '-');
  if (signed_value && *value == '+') ++value;  // from_chars takes no plus
  if (id.ec == std::errc() && signed_value && value != end && out.id >= 0) {
    const auto bias = std::from_chars(value, end, out.bias);
    const bool possible =
        std::isfinite(out.bias) || out.bias == -std::numeric_limits<float>::infinity();
    if (bias.ec == std::errc() && bias.ptr == end && possible) return out;
  }
  fail(ErrorCode::kUsage, "--logit-bias {}: use ID+BIAS or ID-BIAS, such as 15043-1.5 or 2-inf",
       text);
}

std::vector<SamplerStage> parse_sampler_stages(std::string_view text) {
  std::vector<SamplerStage> stages;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(';', begin), text.size());
    const std::string_view name = text.substr(begin, end - begin);
    const auto known = std::find_if(kStageNames.begin(), kStageNames.end(),
                                    [&](const StageName& stage) { return name == stage.name; });
    if (known == kStageNames.end()) {
      fail(ErrorCode::kUsage, "--samplers: unknown sampler {}; there are {}", name,
           sampler_stages_text(SamplingOptions().stages));
    }
    if (std::find(stages.begin(), stages.end(), known->stage) != stages.end())
      fail(ErrorCode::kUsage, "--samplers: {} stands there twice", name);
    stages.push_back(known->stage);
    begin = end + 1;
  }
  return stages;
}

std::string sampler_stages_text(const std::vector<SamplerStage>& stages) {
  std::string text;
  for (const SamplerStage stage : stages) {
    const auto known = std::find_if(kStageNames.begin(), kStageNames.end(),
                                    [&](const StageName& name) { return name.stage == stage; });
    if (!text.empty()) text += ';';
    text += known->name;
  }
  return text;
}

}  // namespace windlass
