// Which pinned weights are laid where their rows are read.
#include "pipeline/memory_nodes.h"

#include <algorithm>

#include "tests/pipeline/golden_model.h"
#include "tests/support/catch.h"

namespace windlass::test {
namespace {

// Bytes of the weights of products over rows, each once; latent attention has others.
std::int64_t product_bytes(const SessionPlan& plan, const Model& model) {
  std::int64_t sum = 0;
  for (const GraphOp& op : plan.graph.ops) {
    if (op.kind != OpKind::kMatMul || op.transposed) continue;
    sum += model.tensors.at(op.weight).extent.size_bytes;
  }
  return sum;
}

SessionPlan pinned_plan(const Model& model) {
  const EngineOptions options = exact_options(64);
  return make_session_plan(model, options, test_profile(), all_ram(model, options));
}

std::int64_t size_of(const std::vector<ReadByRows>& ranges) {
  std::int64_t sum = 0;
  for (const ReadByRows& range : ranges) sum += range.size_bytes;
  return sum;
}

}  // namespace

TEST_CASE("with everything pinned all products' weights are placed by their rows, each once") {
  for (const char* name : {"llama", "mixtral", "deepseek2"}) {
    const Model model = golden_model(name);
    const SessionPlan plan = pinned_plan(model);
    std::vector<ReadByRows> ranges = pinned_by_rows(plan, model.tensors);
    REQUIRE(ranges.size() > 4);
    CHECK(size_of(ranges) == product_bytes(plan, model));
    std::sort(ranges.begin(), ranges.end(), [](const ReadByRows& a, const ReadByRows& b) {
      return a.offset_bytes < b.offset_bytes;
    });
    for (std::size_t i = 1; i < ranges.size(); ++i) {
      CHECK(ranges[i - 1].offset_bytes + ranges[i - 1].size_bytes <= ranges[i].offset_bytes);
    }
    CHECK(ranges.front().offset_bytes >= 0);
    CHECK(ranges.back().offset_bytes + ranges.back().size_bytes <= plan.placement().pinned_bytes);
  }
}

TEST_CASE("what is not pinned is not placed by rows") {
  const Model model = golden_model("llama");
  SessionPlan plan = pinned_plan(model);
  REQUIRE_FALSE(pinned_by_rows(plan, model.tensors).empty());
  plan.candidates.front().placement.pinned.clear();
  CHECK(pinned_by_rows(plan, model.tensors).empty());
}

}  // namespace windlass::test
