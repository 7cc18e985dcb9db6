// The model families as data: what a layer of each consists of. One graph builder (layer_graph.cpp) reads a description; no
// family has code of its own. CONTRIBUTING.md has the recipe for adding one.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "src/ops/op_args.h"

namespace windlass {

enum class NormKind : std::uint8_t { kRms, kLayer };

// Whether the files of a family hold a tensor: never, always, or as each one likes.
enum class Presence : std::uint8_t { kNo, kYes, kMaybe };

// Projections of attention: attn_q, attn_k, attn_v; or attn_qkv, whose rows are those of all three.
enum class QkvTensors : std::uint8_t { kSeparate, kFused };

// act(gate x) * up x, from ffn_gate and ffn_up; the same from one ffn_up of twice the rows, gate first; act(up x).
enum class FfnKind : std::uint8_t { kGated, kGatedFused, kPlain };

// kSequential: the feed-forward part reads what attention left in the residual. kParallel: both read the residual as it was,
// through attn_norm, or attention through attn_norm_2 where a file has it.
enum class LayerForm : std::uint8_t { kSequential, kParallel };

// kHeads: keys and values of KV heads. kLatent (MLA, DeepSeek-V2, arXiv 2405.04434): both are made of one latent vector a token,
// which is what is cached.
enum class AttentionKind : std::uint8_t { kHeads, kLatent };

enum class PositionKind : std::uint8_t { kRope, kLearned };

// A layer sees all keys, or only the last sliding_window ones where the metadata state a window. `kAll`: every layer is
// windowed; `kPeriodic`: all but each period's last.
enum class WindowKind : std::uint8_t { kNone, kAll, kPeriodic };

struct Architecture {
  const char* name;                 // general.architecture of a GGUF

  NormKind norm = NormKind::kRms;
  Presence norm_bias = Presence::kNo;
  bool qk_norm = false;             // attn_q_norm, attn_k_norm: of each head by itself
  bool post_norms = false;          // post_attention_norm, post_ffw_norm: of what a part adds to the residual
  bool scaled_embedding = false;    // by sqrt(d_model)
  LayerForm form = LayerForm::kSequential;

  AttentionKind attention = AttentionKind::kHeads;
  QkvTensors qkv = QkvTensors::kSeparate;  // kHeads
  Presence qkv_bias = Presence::kNo, attn_output_bias = Presence::kNo;
  FfnKind ffn = FfnKind::kGated;
  Activation activation = Activation::kSilu;
  Presence ffn_bias = Presence::kNo;
  // Feed-forward parts that are mixtures of experts, where the metadata count some. normalised_shares: what a file without the
  // key means.
  Presence experts = Presence::kNo;
  bool normalised_shares = false;

  PositionKind positions = PositionKind::kRope;
  std::int64_t first_position_row = 0;  // kLearned: the row of position_embd that position 0 has
  WindowKind window = WindowKind::kNone;
  std::int64_t window_period = 0;       // kPeriodic
  double window_rope_base = 0;          // > 0: windowed layers have a RoPE of their own, unscaled, of this base by default

  // What a file without the key means.
  std::int64_t default_window = 0;
  double default_attention_soft_cap = 0, default_logit_soft_cap = 0;  // 0: none
  // Gemma's largest models scale queries by sqrt(d_model / n_heads); their files do not say so, but have this many layers.
  std::int64_t layers_of_wide_queries = 0;

  // Rows of q and k in GGUF are in the order in which RoPE turns neighbours (2i, 2i+1), not (i, i + dims/2).
  bool rope_neighbours = false;
};

std::span<const Architecture> architectures();
// Null for an unknown name.
const Architecture* find_architecture(std::string_view name);

}  // namespace windlass
