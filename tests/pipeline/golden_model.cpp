#include "tests/pipeline/golden_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <variant>

#include "pipeline/session_plan.h"
#include "src/base/check.h"
#include "tests/support/npy.h"

namespace windlass::test {

std::string golden_folder(const std::string& name) {
  return std::string(WINDLASS_SOURCE_DIR) + "/tests/golden/models/" + name;
}

Model golden_model(const std::string& name) {
  return open_model(golden_folder(name) + "/model.gguf");
}

std::vector<std::int32_t> golden_ids(const std::string& name, int prompt) {
  const std::string path = fmt::format("{}/golden/prompt{}.ids.npy", golden_folder(name), prompt);
  return read_npy<std::int32_t>(path, "<i4").values;
}

std::vector<float> golden_logits(const std::string& name, int prompt) {
  const std::string path =
      fmt::format("{}/golden/prompt{}.logits.npy", golden_folder(name), prompt);
  return read_npy<float>(path, "<f4").values;
}

Profile test_profile() {
  Profile profile;
  profile.cpu = "of the tests";
  profile.isa = "scalar";
  profile.threads = 2;
  profile.dram_bytes_per_s = 8e9;
  profile.op_overhead_s = 1e-6;
  profile.int8.fill({4e9, 1e11});
  profile.exact.fill({4e9, 3e10});
  profile.attention_bytes_per_s = 5e9;
  profile.attention_ops_per_s = 4e10;
  profile.disk_bytes_per_s = 1e9;
  profile.disk_latency_s = 100e-6;
  return profile;
}

EngineOptions exact_options(std::int64_t context_tokens) {
  EngineOptions options;
  options.ram_bytes = std::int64_t{1} << 30;
  options.context_tokens = context_tokens;
  options.kv_types = {KvType::kF32, KvType::kF32};
  options.activations = Activations::kExact;
  options.threads = 2;
  return options;
}

std::vector<float> all_logits(Engine& engine, std::int64_t n_vocab,
                              std::span<const std::int32_t> ids) {
  const std::int64_t first = engine.n_tokens();
  std::vector<float> logits(ids.size() * static_cast<std::size_t>(n_vocab), -1e30F);
  const auto keep = [&](const LogitsTile& tile) {
    for (std::int64_t row = 0; row < tile.rows; ++row) {
      const std::int64_t position = tile.first_position - first + row;
      WINDLASS_CHECK(position >= 0 && position < std::ssize(ids), position, ids.size());
      std::copy_n(tile.data + row * tile.stride, tile.columns,
                  logits.data() + position * n_vocab + tile.first_column);
    }
  };
  engine.feed(ids, static_cast<std::int64_t>(ids.size()), keep, {});
  return logits;
}

Deviation deviation(std::span<const float> a, std::span<const float> b) {
  WINDLASS_CHECK(a.size() == b.size(), a.size(), b.size());
  Deviation result;
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    result.max = std::isnan(difference) ? difference : std::max(result.max, difference);
    sum += difference;
  }
  result.mean = sum / static_cast<double>(a.size());
  return result;
}

namespace {

std::int64_t least_with_slots(const Model& model, const EngineOptions& options,
                              std::int64_t slots) {
  constexpr std::int64_t kPlenty = std::int64_t{1} << 40;
  const SessionPlan plan = make_session_plan(model, options, test_profile(), kPlenty);
  HostNeeds needs = plan.needs;
  needs.limit_bytes = 0;
  if (slots > 0) return least_limit_bytes(plan.graph, plan.blocks, needs);
  return std::get<Infeasible>(place(plan.graph, plan.blocks, needs, 0)).least_bytes;
}

}  // namespace

std::int64_t least_ram(const Model& model, const EngineOptions& options) {
  return least_with_slots(model, options, kMinRingSlots);
}

std::int64_t all_ram(const Model& model, const EngineOptions& options) {
  return least_with_slots(model, options, 0);
}

}  // namespace windlass::test
