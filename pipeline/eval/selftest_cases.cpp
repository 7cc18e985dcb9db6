#include "pipeline/eval/selftest_cases.h"

#include <algorithm>

#include "pipeline/session_plan.h"
#include "src/base/error.h"
#include "src/base/units.h"

namespace windlass {
namespace {

struct Budgets {
  std::int64_t least_bytes = 0, all_bytes = 0;
};

// What `windlass plan` says about the same options.
Budgets budgets_of(const Model& model, const EngineOptions& options, const Profile& profile) {
  constexpr std::int64_t kPlenty = std::int64_t{1} << 44;
  const SessionPlan plan = make_session_plan(model, options, profile, kPlenty);
  HostNeeds needs = plan.needs;
  needs.limit_bytes = 0;
  return {least_limit_bytes(plan.graph, plan.blocks, needs),
          std::get<Infeasible>(place(plan.graph, plan.blocks, needs, 0)).least_bytes};
}

const char* budget_name(int quarters) {
  constexpr const char* kNames[] = {"the least --ram", "a quarter of the way", "half of the way",
                                    "three quarters", "all, or all there is"};
  return kNames[quarters];
}

class Cases {
 public:
  Cases(const Model& model, const SelftestInput& input, const Profile& profile)
      : input_(input), spec_(model.spec) {
    budgets_ = budgets_of(model, without_gpu(), profile);
    ceiling_bytes_ = input.base.ram_bytes ? *input.base.ram_bytes : auto_ram_bytes();
    budgets_.all_bytes = std::min(budgets_.all_bytes, ceiling_bytes_);
  }

  std::vector<SelftestCase> make() {
    for (const Isa isa : input_.isas) {
      isa_ = isa;
      const bool first = isa == input_.isas.front();
      auto& reference = add("reference", Expectation::kReference, [](EngineOptions&) {});
      if (!isa_present(isa)) {
        reference.skip_reason = "this machine lacks " + missing_features(isa);
        continue;
      }
      if (first) {
        add_budgets();
        add_threads();
        add_schedules();
        add_row_counts();
        add_kv_types();
        add_gpu();
      } else {
        add_budget(0, 0);
        add_budget(2, 1);
      }
    }
    return std::move(cases_);
  }

 private:
  EngineOptions without_gpu() const {
    EngineOptions options = input_.base;
    options.vram_bytes = 0;
    options.device = nullptr;
    options.device_ops = nullptr;
    return options;
  }
  // What is returned is valid until the next one.
  template <typename Change>
  SelftestCase& add(std::string name, Expectation expectation, const Change& change) {
    SelftestCase added{std::move(name), without_gpu(), expectation};
    added.options.isa = isa_;
    change(added.options);
    return cases_.emplace_back(std::move(added));
  }
  template <typename Change>
  SelftestCase& same(std::string name, const Change& change) {
    return add(std::move(name), Expectation::kSameBits, change);
  }
  std::int64_t budget_bytes(int quarters) const {
    return budgets_.least_bytes + (budgets_.all_bytes - budgets_.least_bytes) * quarters / 4;
  }
  bool streams() const { return budgets_.least_bytes < budgets_.all_bytes; }
  void skip_unless_streaming(SelftestCase& added, int quarters) const {
    if (streams() || quarters == 0) return;
    added.skip_reason = "nothing streams: the least --ram holds the whole model";
  }

  // threads 0: as the base has it.
  void add_budget(int quarters, int threads) {
    std::string name = budget_name(quarters);
    if (threads > 0) name += fmt::format(", -t {}", threads);
    auto& added = same(std::move(name), [&](EngineOptions& options) {
      options.ram_bytes = budget_bytes(quarters);
      if (threads > 0) options.threads = threads;
    });
    skip_unless_streaming(added, quarters);
  }
  void add_budgets() {
    for (int quarters = 0; quarters <= 4; ++quarters) add_budget(quarters, 0);
  }
  void add_threads() {
    same("one thread", [](EngineOptions& options) { options.threads = 1; });
    same("three threads", [](EngineOptions& options) { options.threads = 3; });
    add_budget(0, 1);
    add_budget(1, 3);
  }
  void add_schedules() {
    auto& late = same("each load when it is needed", [&](EngineOptions& options) {
      options.ram_bytes = budget_bytes(1);
      options.overlap = false;
    });
    skip_unless_streaming(late, 1);
    auto& threads = same("reads by threads", [&](EngineOptions& options) {
      options.ram_bytes = budget_bytes(1);
      options.make_io = [](int capacity, std::string*) { return make_thread_engine(capacity); };
    });
    skip_unless_streaming(threads, 1);
    for (const std::int64_t slots : {2, 3, 8, 24}) {
      auto& ring = same(fmt::format("a ring of {}", slots), [&](EngineOptions& options) {
        options.ram_bytes = budget_bytes(2);
        options.ring_slots = slots;
      });
      skip_unless_streaming(ring, 2);
    }
  }
  void add_row_counts() {
    const auto prompt_tokens = static_cast<std::int64_t>(input_.prompt.size());
    for (const std::int64_t rows : {std::int64_t{1}, std::int64_t{7}, prompt_tokens}) {
      if (rows == input_.base.micro_batch_tokens) continue;
      add(fmt::format("-ub {}", rows), Expectation::kWithinTolerance,
          [&](EngineOptions& options) { options.micro_batch_tokens = rows; });
    }
  }
  void add_kv_types() {
    const KvTypes& base = input_.base.kv_types;
    if (base.keys == KvType::kQ8_0 && base.values == KvType::kQ8_0) return;
    auto& added = add("q8_0 KV", Expectation::kWithinTolerance, [](EngineOptions& options) {
      options.kv_types = {KvType::kQ8_0, KvType::kQ8_0};
    });
    if (!kv_type_fits(KvType::kQ8_0, spec_.head_dim) ||
        !kv_type_fits(KvType::kQ8_0, spec_.value_dim)) {
      added.skip_reason = fmt::format("blocks of {} do not divide its heads", kKvBlock);
    }
  }

  // Another backend rounds otherwise. Less VRAM puts more on the links and the CPU.
  void add_gpu() {
    if (input_.base.vram_bytes == 0) return;
    const auto with_gpu = [&](std::string name, std::int64_t divisor, int quarters, bool overlap) {
      add(std::move(name), Expectation::kWithinTolerance, [&](EngineOptions& options) {
        options.vram_bytes = input_.base.vram_bytes / divisor;
        options.device = input_.base.device;
        options.device_ops = input_.base.device_ops;
        options.ram_bytes = budget_bytes(quarters);
        options.overlap = overlap;
      });
    };
    with_gpu("the GPU, all --vram", 1, 4, true);
    with_gpu("the GPU, all --vram, half of the way", 1, 2, true);
    with_gpu("the GPU, half of --vram", 2, 4, true);
    with_gpu("the GPU, a quarter of --vram, half of the way", 4, 2, true);
    with_gpu("the GPU, half of --vram, each load when it is needed", 2, 2, false);
  }

  const SelftestInput& input_;
  const ModelSpec& spec_;
  Budgets budgets_;
  std::int64_t ceiling_bytes_ = 0;
  std::vector<SelftestCase> cases_;
  Isa isa_ = Isa::kScalar;  // of the cases that are being added
};

}  // namespace

std::vector<SelftestCase> make_selftest_cases(const Model& model, const SelftestInput& input,
                                              const Profile& profile) {
  return Cases(model, input, profile).make();
}

}  // namespace windlass
