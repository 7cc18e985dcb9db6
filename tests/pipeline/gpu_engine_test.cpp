// The engine with a simulated GPU: planned, loaded and run under budgets of three tiers.
#include <algorithm>
#include <vector>

#include "pipeline/engine.h"
#include "pipeline/gpu_probe.h"
#include "src/base/units.h"
#include "tests/pipeline/golden_model.h"
#include "tests/pipeline/gpu_profile.h"
#include "tests/pipeline/small_gguf.h"
#include "tests/pipeline/streamed_model.h"
#include "tests/support/catch.h"
#include "tests/support/simulated_gpu.h"

namespace windlass {
namespace {

using namespace windlass::test;

struct GpuMachine {
  explicit GpuMachine(const SimulatedDeviceOptions& options = plain())
      : gpu(clock, {options, 5e-6}, cpu_op_table(Isa::kScalar)) {}
  static SimulatedDeviceOptions plain() {
    SimulatedDeviceOptions options;
    options.memory_bytes = kGiB;
    options.to_device = options.to_host = {4e9, 5e-6};
    return options;
  }
  EngineOptions options(std::int64_t vram_bytes, std::int64_t ram_bytes) {
    EngineOptions result = exact_options(160);
    result.ram_bytes = ram_bytes;
    result.vram_bytes = vram_bytes;
    result.device = {std::shared_ptr<Device>(), &gpu.device()};  // not its owner
    result.device_ops = &gpu.ops();
    result.micro_batch_tokens = 32;
    result.logits_rows = 100;
    return result;
  }

  VirtualClock clock;
  SimulatedGpu gpu;
};

// A prompt and then token by token.
std::vector<float> run(Engine& engine, const StreamedModel& streamed) {
  const std::span<const std::int32_t> ids(streamed.ids);
  std::vector<float> logits = all_logits(engine, streamed.model.spec.n_vocab, ids.first(70));
  for (std::size_t i = 70; i < 78; ++i) {
    const std::vector<float> one =
        all_logits(engine, streamed.model.spec.n_vocab, ids.subspan(i, 1));
    logits.insert(logits.end(), one.begin(), one.end());
  }
  return logits;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

TEST_CASE("no budget of VRAM or memory changes the logits") {
  const StreamedModel streamed;
  const Model& model = streamed.model;
  std::vector<float> expected;
  {
    EngineOptions options = exact_options(160);
    options.micro_batch_tokens = 32;
    options.logits_rows = 100;
    Engine engine(model, options, test_profile());
    expected = run(engine, streamed);
  }
  std::int64_t kernels = 0;
  for (const std::int64_t vram_mib : {4, 5, 8, 16, 64}) {
    for (const std::int64_t ram_mib : {7, 9, 14, 256}) {
      INFO("--vram " << vram_mib << "MiB --ram " << ram_mib << "MiB");
      GpuMachine machine;
      Engine engine(model, machine.options(vram_mib * kMiB, ram_mib * kMiB), gpu_profile(2e-6));
      CHECK(same_bits(run(engine, streamed), expected));
      kernels += machine.gpu.n_kernels();
    }
  }
  CHECK(kernels > 10000);
}

TEST_CASE("a receipt counts what goes over each link, and the budgets of both memories") {
  const StreamedModel streamed;
  GpuMachine machine;
  Engine engine(streamed.model, machine.options(5 * kMiB, 14 * kMiB), gpu_profile(2e-6));
  run(engine, streamed);
  const Receipt receipt = engine.receipt();
  REQUIRE(receipt.tiers.size() == 2);
  CHECK(receipt.tiers[1].tier == Tier::kVram);
  CHECK(receipt.tiers[1].peak_bytes <= 5 * kMiB);
  CHECK(receipt.tiers[1].peak_bytes > 4 * kMiB);
  CHECK(receipt.prefill.host_to_vram.bytes > 2 * kMiB);
  CHECK(receipt.prefill.vram_to_host.bytes > 0);
  CHECK(receipt.decode.vram_to_host.bytes > 0);
  // As fast as the simulated link, whose latency is a copy's own.
  const LinkUse& link = receipt.prefill.host_to_vram;
  CHECK(static_cast<double>(link.bytes) / link.busy_s > 2e9);
  CHECK(static_cast<double>(link.bytes) / link.busy_s <= 4.5e9);
}

TEST_CASE("a GPU's links, launches and products are measured as they are") {
  GpuMachine machine;
  GpuProbeOptions options;
  options.copy_bytes = 4 * kMiB;
  options.product_rows = options.product_columns = 128;
  options.product_tokens = 4;
  const GpuProfile profile = measure_gpu(machine.gpu.device(), machine.gpu.ops(), options);
  CHECK(profile.h2d_bytes_per_s == Approx(4e9).epsilon(0.01));
  CHECK(profile.d2h_bytes_per_s == Approx(4e9).epsilon(0.01));
  CHECK(profile.h2d_latency_s == Approx(5e-6 + 4096 / 4e9).epsilon(0.01));
  CHECK(profile.op_overhead_s == Approx(5e-6).epsilon(0.01));
  CHECK(profile.vram_bytes_per_s == Approx(3 * 4 * kMiB / 5e-6).epsilon(0.01));
  CHECK(profile.int8_ops_per_s == Approx(2 * 128 * 128 * 4 / 5e-6).epsilon(0.01));
  CHECK(profile.vram_bytes == kGiB);
  CHECK(machine.gpu.device().memory().free_bytes == kGiB);
}

TEST_CASE("memory that another process took is done without, and the receipt says so") {
  const StreamedModel streamed;
  std::vector<float> expected;
  {
    GpuMachine machine;
    Engine engine(streamed.model, machine.options(16 * kMiB, 14 * kMiB), gpu_profile(2e-6));
    expected = run(engine, streamed);
    CHECK(engine.receipt().notes.empty());
  }
  const auto with_free = [&](std::int64_t free_bytes, const std::string& said) {
    GpuMachine machine;
    machine.gpu.device().set_taken_bytes(kGiB - free_bytes);
    Engine engine(streamed.model, machine.options(16 * kMiB, 14 * kMiB), gpu_profile(2e-6));
    const std::vector<float> logits = run(engine, streamed);
    CHECK(deviation(logits, expected).max <= 2e-4);
    const std::vector<std::string> notes = engine.receipt().notes;
    INFO(free_bytes);
    CHECK(std::any_of(notes.begin(), notes.end(), [&](const std::string& note) {
      return note.find(said) != std::string::npos;
    }));
    return machine.gpu.n_kernels();
  };
  CHECK(with_free(6 * kMiB, "planned again with 6.0 MiB") > 0);
  CHECK(with_free(3 * kMiB, "micro-batches of 16 rows") >= 0);
  CHECK(with_free(kMiB / 2, "the CPU computes alone") == 0);
}

TEST_CASE("contexts of several splits are attended to on the GPU as on the CPU") {
  testing::TempDir folder;
  const std::string path = folder.file("small.gguf");
  write_small_llama(path, {DType::kF32, 2, 128, 384, 4, 2, 512});
  const Model model = open_model(path);
  std::vector<std::int32_t> ids(1100);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(i * 7 % 500);
  const auto play = [&](Engine& engine) {
    std::vector<float> logits;
    for (std::size_t at = 0; at < ids.size();) {
      const std::size_t n = at + 64 < ids.size() ? 64 : 1;
      const auto last = engine.feed_for_last(std::span(ids).subspan(at, n), {});
      logits.insert(logits.end(), last.begin(), last.end());
      at += n;
    }
    return logits;
  };
  EngineOptions options = exact_options(1100);
  std::vector<float> expected;
  {
    Engine engine(model, options, test_profile());
    expected = play(engine);
  }
  GpuMachine machine;
  options = machine.options(64 * kMiB, 256 * kMiB);
  options.context_tokens = 1100;
  options.micro_batch_tokens = 0;
  Engine engine(model, options, gpu_profile(2e-6));
  CHECK(same_bits(play(engine), expected));
  CHECK(machine.gpu.n_kernels() > 100);
}

}  // namespace
}  // namespace windlass
