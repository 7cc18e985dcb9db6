#include "pipeline/plan_advice.h"

#include <algorithm>
#include <functional>

#include "pipeline/session_plan.h"
#include "src/base/error.h"
#include "src/base/units.h"

namespace windlass {
namespace {

constexpr double kLeastGain = 1.1;

struct Situation {
  EngineOptions options;
  Profile profile;
  std::int64_t ram_bytes = 0;
};

// Of decode; 0 where there is no plan.
double tokens_per_s(const Model& model, const Situation& now, std::int64_t depth_tokens) {
  try {
    const SessionPlan plan = make_session_plan(model, now.options, now.profile, now.ram_bytes);
    const std::int64_t n = now.options.n_sequences;
    const StepForecast step =
        forecast(plan, model, now.profile, {n, n, depth_tokens, n}, now.options.overlap);
    return static_cast<double>(n) / step.prediction.step_s;
  } catch (const Error&) {
    return 0;
  }
}

void double_memory_rate(Profile& profile) {
  profile.dram_bytes_per_s *= 2;
  profile.attention_bytes_per_s *= 2;
  for (auto* rates : {&profile.int8, &profile.exact}) {
    for (MatMulRates& rate : *rates) rate.gemv_bytes_per_s *= 2;
  }
}

struct Change {
  std::string name;
  std::function<void(Situation&)> apply;
};

std::vector<Change> changes_for(const Situation& now) {
  constexpr std::int64_t kMore = 8 * kGiB, kTogether = 8;
  const std::int64_t more = std::min(kMore, std::max(now.ram_bytes, 64 * kMiB));
  std::vector<Change> changes = {
      {format_size(more) + " more --ram", [more](Situation& then) { then.ram_bytes += more; }},
      {"twice the disk's rate", [](Situation& then) { then.profile.disk_bytes_per_s *= 2; }},
      {"twice the memory's rate", [](Situation& then) { double_memory_rate(then.profile); }}};
  if (now.options.n_sequences < kTogether) {
    changes.push_back({fmt::format("{} sequences at once", kTogether),
                       [](Situation& then) { then.options.n_sequences = kTogether; }});
  }
  if (now.options.vram_bytes == 0) return changes;
  const std::int64_t more_vram = std::min(kMore, now.options.vram_bytes);
  changes.push_back({format_size(more_vram) + " more --vram",
                     [more_vram](Situation& then) { then.options.vram_bytes += more_vram; }});
  changes.push_back({"twice the link to the GPU", [](Situation& then) {
                       then.profile.gpu->h2d_bytes_per_s *= 2;
                       then.profile.gpu->d2h_bytes_per_s *= 2;
                     }});
  return changes;
}

}  // namespace

std::vector<Advice> what_would_help(const Model& model, const EngineOptions& options,
                                    const Profile& profile, std::int64_t ram_bytes,
                                    std::int64_t depth_tokens) {
  const Situation now = {options, profile, ram_bytes};
  const double as_it_is = tokens_per_s(model, now, depth_tokens);
  std::vector<Advice> advice;
  if (as_it_is <= 0) return advice;
  for (const Change& change : changes_for(now)) {
    Situation then = now;
    change.apply(then);
    const double factor = tokens_per_s(model, then, depth_tokens) / as_it_is;
    if (factor >= kLeastGain) advice.push_back({change.name, factor});
  }
  std::stable_sort(advice.begin(), advice.end(),
                   [](const Advice& a, const Advice& b) { return a.factor > b.factor; });
  return advice;
}

}  // namespace windlass
