// The reference models of tests/golden and how the engine tests open them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "pipeline/engine.h"
#include "pipeline/profile.h"
#include "src/model/model.h"

namespace windlass::test {

// "llama", "llama3_rope", "llama_quants/Q8_0"
std::string golden_folder(const std::string& name);
Model golden_model(const std::string& name);
std::vector<std::int32_t> golden_ids(const std::string& name, int prompt);
std::vector<float> golden_logits(const std::string& name, int prompt);  // [n, 512]

Profile test_profile();

// f32 activations and KV, scalar kernels, two threads.
EngineOptions exact_options(std::int64_t context_tokens);

// Feeds ids to an engine whose options say that all logits are wanted; returns [ids, n_vocab].
std::vector<float> all_logits(Engine& engine, std::int64_t n_vocab,
                              std::span<const std::int32_t> ids);

struct Deviation {
  double max = 0, mean = 0;
};
Deviation deviation(std::span<const float> a, std::span<const float> b);

// The least budget of `ram_bytes` under which the engine opens.
std::int64_t least_ram(const Model& model, const EngineOptions& options);
// The budget that pins everything.
std::int64_t all_ram(const Model& model, const EngineOptions& options);

}  // namespace windlass::test
