#include "src/model/architectures.h"

#include <array>

namespace windlass {
namespace {

constexpr std::array kArchitectures = {
    // llama, mistral and mixtral, of all generations.
    Architecture{
        .name = "llama",
        .qkv_bias = Presence::kMaybe,
        .attn_output_bias = Presence::kMaybe,
        .experts = Presence::kMaybe,
        .normalised_shares = true,
        .window = WindowKind::kAll,
        .rope_neighbours = true,
    },
    Architecture{
        .name = "qwen2",
        .qkv_bias = Presence::kYes,
    },
    Architecture{
        .name = "qwen3",
        .qk_norm = true,
    },
    Architecture{
        .name = "qwen3moe",
        .qk_norm = true,
        .experts = Presence::kYes,
        .normalised_shares = true,
    },
    Architecture{
        .name = "gemma2",
        .post_norms = true,
        .scaled_embedding = true,
        .activation = Activation::kGeluTanh,
        .window = WindowKind::kPeriodic,
        .window_period = 2,
        .default_window = 4096,
        .default_attention_soft_cap = 50,
        .default_logit_soft_cap = 30,
        .layers_of_wide_queries = 46,
    },
    Architecture{
        .name = "gemma3",
        .qk_norm = true,
        .post_norms = true,
        .scaled_embedding = true,
        .activation = Activation::kGeluTanh,
        .window = WindowKind::kPeriodic,
        .window_period = 6,
        .window_rope_base = 10000,
        .layers_of_wide_queries = 62,
    },
    Architecture{
        .name = "phi3",
        .qkv = QkvTensors::kFused,
        .ffn = FfnKind::kGatedFused,
        .window = WindowKind::kAll,
    },
    Architecture{
        .name = "falcon",
        .norm = NormKind::kLayer,
        .norm_bias = Presence::kYes,
        .form = LayerForm::kParallel,
        .qkv = QkvTensors::kFused,
        .ffn = FfnKind::kPlain,
        .activation = Activation::kGeluErf,
    },
    Architecture{
        .name = "gpt2",
        .norm = NormKind::kLayer,
        .norm_bias = Presence::kYes,
        .qkv = QkvTensors::kFused,
        .qkv_bias = Presence::kYes,
        .attn_output_bias = Presence::kYes,
        .ffn = FfnKind::kPlain,
        .activation = Activation::kGeluTanh,
        .ffn_bias = Presence::kYes,
        .positions = PositionKind::kLearned,
    },
    Architecture{
        .name = "opt",
        .norm = NormKind::kLayer,
        .norm_bias = Presence::kYes,
        .qkv_bias = Presence::kYes,
        .attn_output_bias = Presence::kYes,
        .ffn = FfnKind::kPlain,
        .activation = Activation::kRelu,
        .ffn_bias = Presence::kYes,
        .positions = PositionKind::kLearned,
        .first_position_row = 2,
    },
    Architecture{
        .name = "starcoder2",
        .norm = NormKind::kLayer,
        .norm_bias = Presence::kYes,
        .qkv_bias = Presence::kYes,
        .attn_output_bias = Presence::kYes,
        .ffn = FfnKind::kPlain,
        .activation = Activation::kGeluTanh,
        .ffn_bias = Presence::kYes,
        .window = WindowKind::kAll,
    },
    Architecture{
        .name = "stablelm",
        .norm = NormKind::kLayer,
        .norm_bias = Presence::kYes,
        .qkv_bias = Presence::kMaybe,
    },
    // DeepSeek-V2, V2-Lite, V3 and R1.
    Architecture{
        .name = "deepseek2",
        .attention = AttentionKind::kLatent,
        .experts = Presence::kYes,
        .rope_neighbours = true,
    },
};

}  // namespace

std::span<const Architecture> architectures() { return kArchitectures; }

const Architecture* find_architecture(std::string_view name) {
  for (const Architecture& architecture : kArchitectures) {
    if (name == architecture.name) return &architecture;
  }
  return nullptr;
}

}  // namespace windlass
