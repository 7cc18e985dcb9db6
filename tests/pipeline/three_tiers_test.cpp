// Any placement of a model over VRAM, host and disk, and any choice of who computes what, gives the
// bits that the CPU alone gives.
#include <algorithm>
#include <memory>
#include <vector>

#include "pipeline/expert_runs.h"
#include "pipeline/pinned_set.h"
#include "pipeline/planner.h"
#include "tests/pipeline/golden_model.h"
#include "tests/pipeline/gpu_rig.h"
#include "tests/support/catch.h"
#include "tests/support/op_data.h"
#include "tests/support/seed.h"

namespace windlass {
namespace {

using namespace windlass::test;

constexpr std::int64_t kRows = 24;

struct Parts {
  Parts(const std::string& name, Activations activations)
      : model(golden_model(name)),
        graph(build_layer_graph(model.spec, model.tensors, activations)),
        blocks(model.tensors, 4 * kKiB) {}
  RigModel rig() const { return {model.tensors, model.spec, graph, blocks}; }
  bool is_transposed(const GraphOp& op) const {
    return op.weight != kNoTensor && model.tensors.at(op.weight).transposed;
  }

  Model model;
  LayerGraph graph;
  BlockTable blocks;
};

std::int64_t largest_run(const BlockTable& blocks) {
  std::int64_t bytes = 0;
  for (std::int32_t i = 0; i < std::ssize(blocks.blocks()); ++i)
    bytes = std::max(bytes, make_run(blocks, {BlockId{i}, 1}).aligned.size_bytes);
  return bytes;
}

std::int64_t largest_tile(const Parts& parts) {
  std::int64_t rows = 1;
  for (const Block& block : parts.blocks.blocks()) rows = std::max(rows, block.n_rows);
  return rows;
}

// Chance decides: where each block is, who computes each op, how long the rings are.
class RandomPlacement {
 public:
  RandomPlacement(const Parts& parts, std::uint32_t seed) : parts_(parts), random_(seed) {
    place_blocks();
    VramPlacement& vram = placement_.vram;
    for (std::int64_t layer = 0; layer < parts.model.spec.n_layers; ++layer)
      vram.kv_home.push_back(random_.below(2) == 0 ? Tier::kVram : Tier::kHost);
    vram.prefill_sites = random_sites();
    vram.decode_sites = random_sites();
    vram.tile_columns = largest_tile(parts) * (1 + random_.below(3));
    vram.staging_slots = 1 + random_.below(3);
    vram.staging_slot_bytes = vram.slot_bytes = placement_.slot_bytes = largest_run(parts.blocks);
    vram.slot_bytes *= 1 + random_.below(3);
    vram.ring_slots = 1 + random_.below(4);
    placement_.ring_slots = 1 + random_.below(4);
    const KvShape kv = Sequence::shape_of(parts.model.spec);
    vram.kv_bytes = std::count(vram.kv_home.begin(), vram.kv_home.end(), Tier::kVram) *
                    kv.layer_bytes(kContext);
    vram.table_bytes = gpu_table_bytes(kv, kContext, 1);
    vram.activation_bytes = make_activation_layout(parts.graph, parts.model.spec, kRows, kRows,
                                                   vram.tile_columns, kContext)
                                .size_bytes;
  }
  const Placement& get() const { return placement_; }
  static constexpr std::int64_t kContext = 192;

 private:
  // Of the host all experts, and small weights everywhere.
  void place_blocks() {
    PinnedSet host(parts_.blocks), vram(parts_.blocks);
    const std::int64_t in_vram = random_.below(5), in_host = random_.below(5);
    for (const BlockId id : touched_blocks(parts_.graph, parts_.blocks)) {
      const TensorId tensor = parts_.blocks.at(id).tensor;
      const bool small = parts_.model.tensors.at(tensor).n_rows() == 1;
      const bool here = random_.below(4) < in_vram;
      if (here || small) vram.add(id);
      if ((!here && random_.below(4) < in_host) || small) host.add(id);
      if (!here && !small && random_.below(3) == 0) placement_.vram.decode_streamed.push_back(id);
    }
    for (const Run& run : expert_runs(parts_.graph, parts_.blocks)) {
      for (std::int32_t i = 0; i < run.blocks.count; ++i) {
        const BlockId id{index_of(run.blocks.first) + i};
        if (!host.holds(id)) host.add(id);
      }
    }
    placement_.pinned = host.runs(0);
    placement_.pinned_bytes = host.bytes();
    placement_.vram.pinned = vram.runs(0);
    placement_.vram.pinned_bytes = vram.bytes();
  }

  std::vector<Site> random_sites() {
    std::vector<Site> sites;
    for (const GraphOp& op : parts_.graph.ops) sites.push_back(random_site(op));
    return sites;
  }
  Site random_site(const GraphOp& op) {
    if (!OpBinder<GpuBackend>::has(op) || has_experts(op)) return Site::kCpu;
    if (op.rows == RowSet::kRouted) return Site::kCpu;
    if (op.kind == OpKind::kKvAppend || op.kind == OpKind::kAttention) {
      const bool here = placement_.vram.kv_home[static_cast<std::size_t>(op.layer)] == Tier::kVram;
      return here ? Site::kGpu : Site::kCpu;
    }
    const bool may_split =
        op.out.present() && !parts_.is_transposed(op) &&
        (op.kind == OpKind::kMatMul || !parts_.graph.buffer(op.out.buffer).tiled);
    return static_cast<Site>(random_.below(may_split ? 3 : 2));
  }

  const Parts& parts_;
  Random random_;
  Placement placement_;
};

// A prompt in steps of kRows, then token by token; the last logits of each step.
template <typename Play>
std::vector<float> play_all(std::span<const std::int32_t> ids, const Play& play) {
  std::vector<float> logits;
  while (!ids.empty()) {
    const std::size_t n = ids.size() >= kRows ? kRows : 1;
    const std::vector<float> step =
        play(std::vector(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(n)));
    logits.insert(logits.end(), step.begin(), step.end());
    ids = ids.subspan(n);
  }
  return logits;
}

std::vector<float> alone(const Parts& parts, std::span<const std::int32_t> ids) {
  HostNeeds needs;
  needs.limit_bytes = std::int64_t{1} << 40;
  RigOptions options;
  options.placement = std::get<Placement>(place(parts.graph, parts.blocks, needs, 0));
  options.token_rows = options.logits_rows = kRows;
  const Plan plan = make_plan(parts.graph, parts.blocks, options.placement, true);
  Rig rig(parts.rig(), options);
  Sequence sequence(parts.model.spec, RandomPlacement::kContext);
  return play_all(ids, [&](const std::vector<std::int32_t>& step) {
    return rig.play(plan, std::vector{sequence.span(step, 1)}, parts.model.spec.n_vocab);
  });
}

struct Timing {
  SimulatedDeviceOptions::Moment work_runs = SimulatedDeviceOptions::Moment::kEnd;
  double kernel_s = 5e-6;
  bool overlap = true;
  int max_latency = 0;
  int copy_engines = 2;
};

std::vector<float> with_gpu(const Parts& parts, std::span<const std::int32_t> ids,
                            std::uint32_t seed, const Timing& timing) {
  const RandomPlacement placement(parts, seed);
  GpuRigOptions options;
  options.placement = placement.get();
  options.token_rows = options.logits_rows = kRows;
  options.context_tokens = RandomPlacement::kContext;
  options.overlap = timing.overlap;
  options.faults.max_latency = timing.max_latency;
  options.faults.seed = seed;
  SimulatedGpuOptions gpu;
  gpu.device.memory_bytes = kGiB;
  gpu.device.work_runs = timing.work_runs;
  gpu.device.copy_engines = timing.copy_engines;
  gpu.device.to_device = gpu.device.to_host = {100e6, 1e-6};
  gpu.kernel_s = timing.kernel_s;
  VirtualClock clock;
  SimulatedGpu simulated(clock, gpu, cpu_op_table(options.isa));
  GpuRig rig(parts.rig(), options, simulated);
  const Plan many = make_plan(parts.graph, parts.blocks, options.placement, true);
  const Plan one = make_plan(parts.graph, parts.blocks, options.placement, true, true);
  return play_all(ids, [&](const std::vector<std::int32_t>& step) {
    return rig.play(step.size() > 1 ? many : one, {step}, &one);
  });
}

const std::vector<std::string> kModels = {"llama", "qwen2",    "gemma2",  "phi3",     "falcon",
                                          "gpt2",  "stablelm", "mixtral", "deepseek2"};

TEST_CASE("placement over three tiers never changes the bits") {
  const auto first_seed = static_cast<std::uint32_t>(test_seed());
  for (const std::string& name : kModels) {
    for (const Activations activations : {Activations::kExact, Activations::kInt8}) {
      const Parts parts(name, activations);
      const std::vector<std::int32_t> all = golden_ids(name, 1);
      const auto ids = std::span(all).first(std::min<std::size_t>(all.size(), kRows + 6));
      const std::vector<float> expected = alone(parts, ids);
      for (std::uint32_t seed = first_seed; seed < first_seed + 3; ++seed) {
        INFO(name << ", seed " << seed);
        Timing timing;
        timing.overlap = seed % 4 != 3;
        timing.max_latency = static_cast<int>(seed % 3);
        if (seed % 2 == 0) timing.work_runs = SimulatedDeviceOptions::Moment::kBegin;
        timing.kernel_s = seed % 5 < 2 ? 1e-6 : 500e-6;  // copies are slower, or kernels
        timing.copy_engines = 1 + static_cast<int>(seed % 2);
        const std::vector<float> got = with_gpu(parts, ids, seed, timing);
        REQUIRE(got.size() == expected.size());
        const auto differs = std::mismatch(got.begin(), got.end(), expected.begin());
        REQUIRE(differs.first - got.begin() == std::ssize(got));
      }
    }
  }
}

}  // namespace
}  // namespace windlass
