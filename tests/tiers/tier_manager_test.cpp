#include "tiers/tier_manager.h"

#include <algorithm>
#include <cstring>
#include <memory>
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
  explicit Model(const FaultPlan& plan, const TierManagerOptions& options = {}, bool direct = true)
      : tensors(make_tensors()),
        blocks(tensors, 16 * kKiB),
        file(tensors.tensors.back().extent.end_bytes()),
        store({file.as_model_file()},
              [direct](int fd) { return direct ? probe_direct_read(fd) : std::string("test"); }),
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
  bool rows_match(TensorId tensor, const std::vector<std::int32_t>& rows) {
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

TEST_CASE("rows across 4 KiB borders, at both ends of the tensor and of the file, are whole") {
  for (const bool direct : {true, false}) {
    Model model({.seed = test_seed(), .capacity = 3}, {}, direct);
    for (std::int32_t row = 0; row < 101; ++row) REQUIRE(model.rows_match(kEmbedding, {{row}}));
    CHECK(model.rows_match(kEmbedding, {{0, 100, 0}}));
    CHECK(model.rows_match(kSmall, {{0}}));  // ends with the file, which is no multiple of 4 KiB
    CHECK(model.rows_match(kEmbedding, {}));
  }
}

TEST_CASE("duplicate and overlapping rows are read once") {
  Model model({.capacity = 8});
  REQUIRE(model.rows_match(kEmbedding, {{7, 7, 7, 7}}));
  CHECK(model.engine.submitted.size() == 1);
  model.engine.submitted.clear();
  REQUIRE(
      model.rows_match(kEmbedding, {{12, 11, 10, 11, 50}}));  // 10..12 overlap in pages, 50 is far
  CHECK(model.engine.submitted.size() == 2);
}

TEST_CASE("more rows than a batch and than the reads in flight are fetched") {
  Model model({.seed = test_seed(), .capacity = 2, .max_latency = 1, .reorder = true});
  std::vector<std::int32_t> rows;
  for (std::int32_t i = 0; i < TierManager::kRowBatch + 500; ++i) rows.push_back((i * 37) % 101);
  CHECK(model.rows_match(kEmbedding, rows));
}

TEST_CASE("rows of resident blocks are used in place, rows of absent and loading ones are read") {
  Model model({.capacity = 8});
  const BlockRange range = model.blocks.of_tensor(kEmbedding);
  REQUIRE(range.count > 2);
  const Run first = make_run(model.blocks, {range.first, 1});
  REQUIRE(model.tiers.start_load(first, model.memory.data(), 0));
  model.tiers.wait_present(range.first);
  model.engine.submitted.clear();
  const auto in_second = static_cast<std::int32_t>(model.blocks.at(range.first).n_rows);
  const std::int32_t rows[] = {in_second, 1};
  const AlignedMemory staging(2 * model.tiers.row_staging_bytes(kEmbedding));
  const std::byte* pointers[2];
  model.tiers.fetch_rows(kEmbedding, rows, staging.span(), pointers);
  CHECK(model.engine.submitted.size() == 1);
  CHECK(pointers[1] ==
        model.tiers.lease(range.first).bytes() + model.tensors.at(kEmbedding).row_bytes());
  CHECK((pointers[0] >= staging.data() && pointers[0] < staging.data() + staging.size_bytes));

  model.engine.plan.hold = true;
  const Run second = make_run(model.blocks, {BlockId{index_of(range.first) + 1}, 1});
  REQUIRE(model.tiers.start_load(second, model.memory.data() + 512 * kKiB, 0));
  CHECK(model.rows_match(kEmbedding, {{in_second, 1}}));
}

TEST_CASE("a failed row read is an error, leaves nothing in flight and the next call works") {
  Model model({.seed = test_seed(), .capacity = 4, .max_latency = 2, .fail_read = 2});
  const std::vector<std::int32_t> rows = {1, 20, 40, 60, 80, 100};
  CHECK_THROWS_WITH(model.rows_match(kEmbedding, rows), Contains("Input/output error"));
  CHECK(model.engine.in_flight() == 0);
  CHECK(model.rows_match(kEmbedding, rows));
}

TEST_CASE("staging one row short is a bug") {
  Model model({.capacity = 4});
  CHECK(fails_a_check([&] {
    const std::int32_t rows[] = {1, 50};
    const AlignedMemory staging(4096);
    const std::byte* pointers[2];
    model.tiers.fetch_rows(kEmbedding, rows, staging.span(), pointers);
  }));
  CHECK(fails_a_check([&] { model.rows_match(kEmbedding, {{101}}); }));
  CHECK(fails_a_check([&] { model.rows_match(kEmbedding, {{-1}}); }));
}

TEST_CASE("all runs of a model load at their places with few slots, and progress reaches the end") {
  for (const int max_runs : {1, 3, 64}) {
    Model model({.seed = test_seed(),
                 .capacity = 5,
                 .max_latency = 3,
                 .reorder = true,
                 .short_read_rate = 0.2},
                {.max_runs = max_runs, .request_bytes = 8 * kKiB});
    std::vector<TierManager::Placed> runs;
    std::int64_t offset = 0;
    const auto n_blocks = static_cast<std::int32_t>(model.blocks.blocks().size());
    for (std::int32_t first = 0; first < n_blocks; first += 3) {
      const Run run = make_run(model.blocks, {BlockId{first}, std::min(3, n_blocks - first)});
      runs.push_back({run, model.memory.data() + offset});
      offset += run.aligned.size_bytes;
    }
    std::vector<std::int64_t> progress;
    model.tiers.load_all(runs, [&](std::int64_t bytes) { progress.push_back(bytes); });
    for (std::int32_t i = 0; i < n_blocks; ++i) REQUIRE(model.holds_its_bytes(BlockId{i}));
    CHECK(std::is_sorted(progress.begin(), progress.end()));
    CHECK(progress.back() == offset);
  }
}

TEST_CASE("loading all waits for runs that others started when the slots are full") {
  Model model({.capacity = 4}, {.max_runs = 1});
  const Run other = model.run_of(kMatrix);
  REQUIRE(model.tiers.start_load(other, model.memory.data(), 0));
  const TierManager::Placed small{model.run_of(kSmall), model.memory.data() + 512 * kKiB};
  model.tiers.load_all({&small, 1}, [](std::int64_t) {});
  CHECK(model.tiers.present(other.blocks.first));
  CHECK(model.holds_its_bytes(small.run.blocks.first));
}

namespace {

// All blocks of the model, three at a time, side by side in memory.
std::vector<TierManager::Placed> all_runs(const Model& model) {
  std::vector<TierManager::Placed> runs;
  std::int64_t offset = 0;
  const auto n_blocks = static_cast<std::int32_t>(model.blocks.blocks().size());
  for (std::int32_t first = 0; first < n_blocks; first += 3) {
    const Run run = make_run(model.blocks, {BlockId{first}, std::min(3, n_blocks - first)});
    runs.push_back({run, model.memory.data() + offset});
    offset += run.aligned.size_bytes;
  }
  return runs;
}

bool all_absent(const Model& model) {
  for (std::size_t i = 0; i < model.blocks.blocks().size(); ++i) {
    if (model.tiers.state(BlockId{static_cast<std::int32_t>(i)}) != BlockState::kAbsent)
      return false;
  }
  return true;
}

// Loads everything and looks at the bytes.
bool loads_whole(Model& model) {
  model.tiers.load_all(all_runs(model), [](std::int64_t) {});
  for (std::size_t i = 0; i < model.blocks.blocks().size(); ++i) {
    if (!model.holds_its_bytes(BlockId{static_cast<std::int32_t>(i)})) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("a load of all that fails at any read leaves nothing behind, and can be tried again") {
  const TierManagerOptions options{.max_runs = GENERATE(1, 3, 64), .request_bytes = 8 * kKiB};
  Model whole({.capacity = 5}, options);
  REQUIRE(loads_whole(whole));
  const auto n_reads = static_cast<int>(whole.engine.submitted.size());
  REQUIRE(n_reads > 30);
  for (int failing = 0; failing < n_reads; ++failing) {
    Model model({.seed = test_seed(),
                 .capacity = 5,
                 .max_latency = failing % 4,
                 .reorder = true,
                 .fail_read = failing},
                options);
    INFO("read " << failing << " of " << n_reads << " fails");
    CHECK_THROWS_WITH(model.tiers.load_all(all_runs(model), [](std::int64_t) {}),
                      Contains("Input/output error"));
    CHECK(model.engine.in_flight() == 0);
    CHECK(all_absent(model));
    CHECK(loads_whole(model));
  }
}

TEST_CASE("an interrupted load of all leaves nothing behind, and can be tried again") {
  Model model({.capacity = 4, .hold = true}, {.max_runs = 4, .request_bytes = 4 * kKiB});
  int asked = 0;
  const auto interrupt = [&](std::int64_t) {
    if (++asked == 2) fail(ErrorCode::kInterrupted, "interrupted");
  };
  CHECK_THROWS_WITH(model.tiers.load_all(all_runs(model), interrupt), "interrupted");
  CHECK(model.engine.in_flight() == 0);
  CHECK(all_absent(model));
  CHECK(loads_whole(model));
}

TEST_CASE("reads in flight end before the manager goes") {
  auto model = std::make_unique<Model>(FaultPlan{.capacity = 4, .hold = true},
                                       TierManagerOptions{4, 4 * kKiB});
  const TierManager::Placed first = all_runs(*model).front();
  REQUIRE(model->tiers.start_load(first.run, first.destination, 0));
  REQUIRE(model->engine.in_flight() > 0);
  std::destroy_at(&model->tiers);
  CHECK(model->engine.in_flight() == 0);
  std::construct_at(&model->tiers, model->tensors, model->blocks, model->store, model->engine,
                    TierManagerOptions{});
}

TEST_CASE("too many runs are back-pressure, and polling makes room") {
  Model model({.capacity = 4}, {.max_runs = 2});
  const auto run = [&](std::int32_t i) { return make_run(model.blocks, {BlockId{i}, 1}); };
  const auto place = [&](std::int32_t i) { return model.memory.data() + i * 64 * kKiB; };
  model.engine.plan.hold = true;
  REQUIRE(model.tiers.start_load(run(0), place(0), 0));
  REQUIRE(model.tiers.start_load(run(1), place(1), 1));
  CHECK_FALSE(model.tiers.start_load(run(2), place(2), 2));
  CHECK(model.tiers.state(BlockId{2}) == BlockState::kAbsent);
  model.tiers.poll();
  CHECK(model.tiers.state(BlockId{0}) == BlockState::kLoading);
  model.engine.plan.hold = false;
  model.tiers.poll();
  CHECK(model.holds_its_bytes(BlockId{0}));
  CHECK(model.holds_its_bytes(BlockId{1}));
  CHECK(model.tiers.start_load(run(2), place(2), 2));
}

TEST_CASE("dropping a loading run cancels it, and it can be loaded again") {
  Model model({.capacity = 4, .hold = true}, {.max_runs = 1, .request_bytes = 4 * kKiB});
  const Run run = model.run_of(kMatrix);
  REQUIRE(model.tiers.start_load(run, model.memory.data(), 0));
  model.tiers.drop(run);
  CHECK(model.engine.in_flight() == 0);
  CHECK(model.engine.submitted.size() == 3);
  CHECK(model.tiers.state(run.blocks.first) == BlockState::kAbsent);
  REQUIRE(model.tiers.start_load(run, model.memory.data(), 0));
  model.tiers.wait_present(run.blocks.first);
  CHECK(model.holds_its_bytes(run.blocks.first));
}

TEST_CASE("a failed load is thrown by whoever waits or polls, and dropping it recovers") {
  Model model({.capacity = 4, .fail_read = 1}, {.max_runs = 2, .request_bytes = 4 * kKiB});
  const Run run = model.run_of(kMatrix);
  REQUIRE(model.tiers.start_load(run, model.memory.data(), 0));
  CHECK_THROWS_WITH(model.tiers.wait_present(run.blocks.first), Contains("Input/output error"));
  CHECK_THROWS_AS(model.tiers.poll(), Error);
  CHECK_FALSE(model.tiers.present(run.blocks.first));
  model.tiers.drop(run);
  model.tiers.poll();
  REQUIRE(model.tiers.start_load(run, model.memory.data(), 0));
  model.tiers.wait_present(run.blocks.first);
  CHECK(model.holds_its_bytes(run.blocks.first));
}

TEST_CASE("waiting for an absent block and dropping a leased run are bugs") {
  Model model({.capacity = 4});
  const Run run = model.run_of(kSmall);
  CHECK(fails_a_check([&] { model.tiers.wait_present(run.blocks.first); }));
  REQUIRE(model.tiers.start_load(run, model.memory.data(), 0));
  model.tiers.wait_present(run.blocks.first);
  CHECK(fails_a_check([&] {
    const Lease lease = model.tiers.lease(run.blocks.first);
    model.tiers.drop(run);
  }));
}
