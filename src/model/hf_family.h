// The model families of Hugging Face folders, as tables: what their tensors are called there, and
// which settings of config.json are understood, and how the numbers differ from GGUF's.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "src/format/tensor_table.h"

namespace windlass {

// "layers.*.self_attn.q_proj" -> "blk.*.attn_q": stars are numbers, in the same order on both
// sides; ".weight" or ".bias" follows on both.
struct NameRule {
  std::string_view stored, name;
  bool transposed = false;  // its weight is [n_in, n_out]
};

// config.json may hold `key` with this value only: with another the model computes something else
// than its architecture here.
struct FixedSetting {
  std::string_view key;
  std::string_view value;  // as JSON: true, "silu"
};

enum class WindowSetting {
  kUsed,       // 'sliding_window' is the attention's window
  kOnRequest,  // only with 'use_sliding_window'
  kIgnored,
};

// What transformers takes where config.json is silent, and which settings it passes over.
struct HfDefaults {
  double rms_epsilon = 0;   // 0: the family has no RMS norms
  std::int64_t window = 0;  // tokens; 0: none
  WindowSetting windows = WindowSetting::kUsed;
  bool states_bias = false;  // 'attention_bias' says whether the attention's matrices have biases
};

struct HfFamily {
  std::string_view model_type;    // of config.json
  std::string_view architecture;  // as GGUF calls it
  std::string_view prefix;        // that names of tensors may have: "model."
  std::array<std::span<const NameRule>, 2> names;
  std::span<const FixedSetting> fixed;
  bool tied = false;  // the output matrix is the embedding, where config.json is silent
  Conventions conventions = {};
  HfDefaults defaults = {};
};

std::span<const HfFamily> hf_families();
// Error(kUnsupported) naming the supported ones, for a model_type that is none.
const HfFamily& find_hf_family(std::string_view model_type, const std::string& path);

// A tensor's place in the model; nothing for one that the family has no place for.
struct PlacedName {
  std::string name;  // as GGUF has it
  bool transposed = false;
};
std::optional<PlacedName> place_name(const HfFamily& family, std::string_view stored);
// The reverse, for messages: what the family calls a tensor of GGUF's name; that name where it has
// none.
std::string stored_name(const HfFamily& family, std::string_view name);
// Tensors that files have beside the weights, and that are computed anew: RoPE frequencies, masks.
bool is_derived(const HfFamily& family, std::string_view stored);

}  // namespace windlass
