#include "tiers/tier_manager.h"

#include <cstring>
#include <numeric>
#include <random>

#include "src/base/error.h"
#include "tests/support/catch.h"
#include "tests/support/child_process.h"
#include "tests/support/fault_io_engine.h"
#include "tests/support/seed.h"
#include "tests/tiers/model_fixture.h"

using namespace windlass;

namespace {

// A model of three tensors in a real file: an embedding of odd rows, a matrix of several blocks, a
// small one.
struct Model {
  explicit Model(const FaultPlan& plan = {}, TierManagerOptions options = {})
      : tensors(make_tensors()),
        blocks(tensors, 16 * kKiB),
        file(tensors.tensors.back().extent.end_bytes()),
        store({file.as_model_file()}),
        engine(plan),
        memory(1024 * kKiB),
        tiers(tensors, blocks, store, engine, options) {}

  static TensorTable make_tensors() {
    TensorTable table;
    table.files.push_back({"model", 0});
    add_tensor(table, FileId{0}, DType::kF16, {101, 777}, 1000);  // rows of 1554 B
    add_tensor(table, FileId{0}, DType::kF32, {512, 64});
    add_tensor(table, FileId{0}, DType::kF32, {33});
    return table;
  }
  Run run_of(TensorId tensor) const { return make_run(blocks, blocks.of_tensor(tensor)); }
  const std::byte* row_in_file(TensorId tensor, std::int64_t row) const {
    return file.bytes().data() + tensors.at(tensor).extent.offset_bytes +
           row * tensors.at(tensor).row_bytes();
  }
  bool holds_its_bytes(BlockId id) {
    const Extent& extent = blocks.at(id).extent;
    return std::memcmp(tiers.lease(id).bytes(), file.bytes().data() + extent.offset_bytes,
                       static_cast<std::size_t>(extent.size_bytes)) == 0;
  }
  bool rows_match(TensorId tensor, std::span<const std::int32_t> rows) {
    const AlignedMemory staging(std::ssize(rows) * tiers.row_staging_bytes(tensor) + 1);
    std::vector<const std::byte*> pointers(rows.size());
    tiers.fetch_rows(tensor, rows, staging.span(), pointers);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (std::memcmp(pointers[i], row_in_file(tensor, rows[i]),
                      static_cast<std::size_t>(tensors.at(tensor).row_bytes())) != 0) {
        return false;
      }
    }
    return true;
  }

  TensorTable tensors;
  BlockTable blocks;
  TempFile file;
  DiskStore store;
  FaultIoEngine engine;
  AlignedMemory memory;
  TierManager tiers;
};

constexpr TensorId kEmbedding{0}, kMatrix{1}, kSmall{2};

}  // namespace

TEST_CASE("a loaded run makes its blocks present with the file's bytes") {
  Model model({.seed = test_seed(),
               .capacity = 4,
               .max_latency = 3,
               .reorder = true,
               .short_read_rate = 0.3},
              {.max_runs = 2, .request_bytes = 8 * kKiB});
  const Run run = model.run_of(kMatrix);
  REQUIRE(model.tiers.start_load(run, model.memory.data(), 0));
  CHECK(model.tiers.state(run.blocks.first) == BlockState::kLoading);
  model.tiers.wait_present(run.blocks.first);
  for (std::int32_t i = 0; i < run.blocks.count; ++i) {
    CHECK(model.holds_its_bytes(BlockId{index_of(run.blocks.first) + i}));
  }
  model.tiers.drop(run);
  CHECK(model.tiers.state(run.blocks.first) == BlockState::kAbsent);
}

TEST_CASE("fetched rows are the file's rows, in any order and with duplicates") {
  Model model({.seed = test_seed(),
               .capacity = 6,
               .max_latency = 2,
               .reorder = true,
               .short_read_rate = 0.2});
  std::mt19937_64 random(test_seed());
  std::vector<std::int32_t> rows(300);
  for (std::int32_t& row : rows) row = static_cast<std::int32_t>(random() % 101);
  CHECK(model.rows_match(kEmbedding, rows));
}
