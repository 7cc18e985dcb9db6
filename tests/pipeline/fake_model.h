// Models without a file, for everything that only plans: tensors one after another, ops over them,
// and a machine with round rates.
#pragma once

#include <cstdint>
#include <random>

#include "pipeline/cost_model.h"
#include "pipeline/placement.h"
#include "pipeline/profile.h"
#include "src/base/units.h"
#include "src/model/layer_graph.h"
#include "tiers/block.h"

namespace windlass::test {

inline constexpr std::int64_t kBlockBytes = kMiB - 2 * kDirectAlignment;

// A chain of ops on F32 weights of 1024 columns: a row is 4 KiB.
class FakeModel {
 public:
  static constexpr std::int64_t kColumns = 1024, kRowBytes = 4096;
  FakeModel();
  TensorId add_tensor(std::int64_t n_rows);
  TensorId add_stack(std::int64_t n_matrices, std::int64_t n_rows);  // of n_rows each
  void add_embedding(TensorId weight);
  void add_norm();  // a tensor of one row
  void add_product(std::int64_t n_rows);
  // A routing of each row to n_chosen of n_experts, and two products of n_rows with each of them.
  void add_experts(std::int64_t n_experts, std::int64_t n_chosen, std::int64_t n_rows);
  void add_head(TensorId weight);  // a tiled product, and the op that empties its tiles
  BlockTable blocks(std::int64_t target_bytes = kBlockBytes) const {
    return BlockTable(tensors, target_bytes);
  }
  CostModel costs(const Profile& profile) const {
    return CostModel({tensors, spec, graph, profile, KvTypes{}});
  }

  TensorTable tensors;
  ModelSpec spec;
  LayerGraph graph;

 private:
  TensorId add_tensor_of(std::vector<std::int64_t> shape);
  GraphOp& add_op(OpKind kind, TensorId weight, BufferId in, BufferId out, RowSet rows);
};

// Bytes a second of the disk and of one-row products; every other rate is 0 (costs nothing).
Profile fake_profile(double disk_bytes_per_s, double gemv_bytes_per_s, double latency_s = 0);

// A few layers of norms and products of 4 KiB to 2.5 MiB, with an embedding tied to the head or
// not.
FakeModel random_model(std::mt19937_64& random);

// Layers of norms, products and experts.
FakeModel random_mixture(std::mt19937_64& random);

// Products of n_rows rows each.
FakeModel uniform_model(std::int64_t n_products, std::int64_t n_rows);

// Pages are what budgets move in here: the least multiple of 4 KiB that holds everything.
std::int64_t all_in_memory_bytes(const FakeModel& model, const BlockTable& blocks, HostNeeds needs);

}  // namespace windlass::test
