// Whole models on the GPU's own kernels, emulated, under the engine and a simulated device: their
// logits are those of the reference implementations.
#include <algorithm>
#include <vector>

#include "kernels/emulation/emulated_device.h"
#include "pipeline/engine.h"
#include "src/base/units.h"
#include "tests/pipeline/golden_model.h"
#include "tests/pipeline/gpu_profile.h"
#include "tests/support/catch.h"
#include "tests/support/seed.h"
#include "tests/support/simulated_gpu.h"

namespace windlass {
namespace {

using namespace windlass::test;

struct Machine {
  Machine()
      : kernels(test_seed()),
        gpu(clock, {options(), 5e-6}, *gpu_op_table(), kernels.stream(),
            [this] { kernels.wait(); }) {}
  static SimulatedDeviceOptions options() {
    SimulatedDeviceOptions result;
    result.memory_bytes = kGiB;
    return result;
  }

  VirtualClock clock;
  emulation::EmulatedDevice kernels;
  SimulatedGpu gpu;
};

struct OnGpu {
  std::vector<float> logits;
  std::int64_t n_kernels = 0;
};

OnGpu run(const std::string& name, Activations activations, KvType kv, std::size_t n_tokens) {
  const Model model = golden_model(name);
  const std::vector<std::int32_t> ids = golden_ids(name, 1);
  Machine machine;
  EngineOptions options = exact_options(128);
  options.activations = activations;
  options.kv_types = {kv, kv};
  options.vram_bytes = 256 * kMiB;
  options.device = {std::shared_ptr<Device>(), &machine.gpu.device()};
  options.device_ops = &machine.gpu.ops();
  options.logits_rows = 64;
  options.micro_batch_tokens = 16;
  // So little a launch that small models too are better off there.
  Engine engine(model, options, gpu_profile(1e-9));
  const auto span = std::span(ids).first(n_tokens);
  OnGpu result;
  // A prompt, and its last two tokens one by one.
  for (const auto part : {span.first(n_tokens - 2), span.subspan(n_tokens - 2, 1), span.last(1)}) {
    const std::vector<float> logits = all_logits(engine, model.spec.n_vocab, part);
    result.logits.insert(result.logits.end(), logits.begin(), logits.end());
  }
  result.n_kernels = machine.gpu.n_kernels();
  return result;
}

void check(const std::string& name, const OnGpu& result, double most, double mean) {
  INFO(name);
  const std::vector<float> all = golden_logits(name, 1);
  const std::span<const float> expected = std::span(all).first(result.logits.size());
  const Deviation apart = deviation(result.logits, expected);
  CHECK(apart.max <= most);
  CHECK(apart.mean <= mean);
  CHECK(result.n_kernels > 20);
}

TEST_CASE("models of all kinds give the reference's logits on the GPU's kernels") {
  for (const std::string name :
       {"llama", "llama3_rope", "qwen2", "qwen3", "gemma2", "phi3", "falcon", "gpt2", "stablelm"}) {
    check(name, run(name, Activations::kExact, KvType::kF32, 20), 2e-4, 2e-5);
  }
}

TEST_CASE("quantised models with 8-bit activations stay within tolerance, with KV of any type") {
  for (const KvType kv : {KvType::kF16, KvType::kQ8_0}) {
    for (const std::string type : {"Q2_K", "Q4_K_M", "Q6_K", "Q8_0", "IQ4_XS"}) {
      const std::string name = "llama_quants/" + type;
      check(name, run(name, Activations::kInt8, kv, 20), 5e-1, 8e-2);
    }
  }
}

}  // namespace
}  // namespace windlass
