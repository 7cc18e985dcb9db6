// What a user can ask of sampling, under llama.cpp's names and with its defaults.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace windlass {

// Stages in llama.cpp's default order.
enum class SamplerStage : std::uint8_t {
  kPenalties,
  kDry,
  kTopNSigma,
  kTopK,
  kTypicalP,
  kTopP,
  kMinP,
  kXtc,
  kTemperature,
};

struct LogitBias {
  std::int32_t id = 0;
  float bias = 0;  // finite, or minus infinity: never
};

struct SamplingOptions {
  std::vector<LogitBias> logit_bias;  // before all stages
  std::vector<SamplerStage> stages = {
      SamplerStage::kPenalties, SamplerStage::kDry,      SamplerStage::kTopNSigma,
      SamplerStage::kTopK,      SamplerStage::kTypicalP, SamplerStage::kTopP,
      SamplerStage::kMinP,      SamplerStage::kXtc,      SamplerStage::kTemperature,
  };

  double temperature = 0.8;   // 0: the likeliest of what the stages before left
  std::int64_t top_k = 40;    // 0: off
  double top_p = 0.95;        // 1: off
  double min_p = 0.05;        // 0: off
  double typical_p = 1.0;     // 1: off
  double top_n_sigma = -1.0;  // below 0: off

  std::int64_t repeat_last_n = 64;  // tokens looked back on; 0: off, -1: the context
  double repeat_penalty = 1.0;      // 1: off
  double frequency_penalty = 0.0;   // 0: off
  double presence_penalty = 0.0;    // 0: off

  double dry_multiplier = 0.0;  // 0: off
  double dry_base = 1.75;
  std::int64_t dry_allowed_length = 2;
  std::int64_t dry_penalty_last_n = -1;  // 0: off, -1: the context
  std::vector<std::string> dry_sequence_breakers = {"\n", ":", "\"", "*"};

  double xtc_probability = 0.0;  // 0: off
  double xtc_threshold = 0.1;    // above 0.5: off

  std::int64_t mirostat = 0;  // 1, 2: the version; replaces all stages but temperature
  double mirostat_tau = 5.0;  // target surprise, bits
  double mirostat_eta = 0.1;  // learning rate

  std::uint64_t seed = 0;
};

bool uses_penalties(const SamplingOptions& options);
bool uses_dry(const SamplingOptions& options);
bool uses_xtc(const SamplingOptions& options);

// Error(kUsage) naming the flag of a value out of its range.
void check_sampling_options(const SamplingOptions& options, std::int64_t n_vocab);

// "15043+1.5", "15043-1", "15043-inf". Error(kUsage).
LogitBias parse_logit_bias(std::string_view text);
// "top_k;temperature": names as llama.cpp has them. Error(kUsage) for an unknown or doubled one.
std::vector<SamplerStage> parse_sampler_stages(std::string_view text);
// The inverse.
std::string sampler_stages_text(const std::vector<SamplerStage>& stages);

}  // namespace windlass
