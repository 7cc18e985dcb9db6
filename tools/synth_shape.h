// The shape of a synthetic llama or mixtral: presets, what the flags change, and the tensors that
// follow.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/base/dtype.h"
#include "tools/options.h"

namespace windlass {

struct SynthModel {
  std::string name;
  std::int64_t n_layers = 0, d_model = 0, d_ffn = 0, n_heads = 0, n_kv_heads = 0, head_dim = 0,
               n_vocab = 0;
  std::int64_t n_experts = 0, n_experts_used = 0;  // 0: dense
  std::int64_t context_length = 131072;
  double rope_base = 500000.0;  // Llama 3's
  bool tied = false;
  DType weight_type = DType::kQ4_0, embd_type = DType::kQ8_0, output_type = DType::kQ4_0;
};

enum class SynthFill { kNorm, kEmbedding, kMatrix };

struct SynthTensor {
  std::string name;
  DType type = DType::kF32;
  std::vector<std::int64_t> shape;  // slowest first
  SynthFill fill = SynthFill::kMatrix;
};

// A preset or the shape flags, completed. tokenizer_vocab: rows that the copied tokenizer wants, 0:
// none is copied. Error(kUsage) for anything missing, contradictory or impossible, naming the flag.
SynthModel resolve_synth_model(const Options& options, std::int64_t tokenizer_vocab);

// In the order of the file.
std::vector<SynthTensor> synth_tensors(const SynthModel& model);

}  // namespace windlass
