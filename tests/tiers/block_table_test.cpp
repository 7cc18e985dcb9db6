#include <random>

#include "src/base/units.h"
#include "tests/support/catch.h"
#include "tests/support/child_process.h"
#include "tests/support/seed.h"
#include "tests/tiers/model_fixture.h"
#include "tiers/block.h"

using namespace windlass;

namespace {

BlockId next_of(BlockId id) { return BlockId{index_of(id) + 1}; }

// Each row of the tensor in exactly one block, in order, at its place in the file.
void check_covers(const BlockTable& table, const TensorTable& tensors, TensorId id) {
  const TensorInfo& tensor = tensors.at(id);
  const BlockRange range = table.of_tensor(id);
  std::int64_t row = 0;
  for (std::int32_t i = 0; i < range.count; ++i) {
    const Block& block = table.at(BlockId{index_of(range.first) + i});
    REQUIRE(block.tensor == id);
    REQUIRE(block.first_row == row);
    REQUIRE(block.n_rows > 0);
    REQUIRE(block.extent.file == tensor.extent.file);
    REQUIRE(block.extent.offset_bytes == tensor.extent.offset_bytes + row * tensor.row_bytes());
    REQUIRE(block.extent.size_bytes == block.n_rows * tensor.row_bytes());
    row += block.n_rows;
  }
  REQUIRE(row == tensor.n_rows());
}

// Whole blocks of one size but for the last.
void check_matrix(const BlockTable& table, const BlockRange& range, std::int64_t first_row,
                  std::int64_t n_rows) {
  const Block& first = table.at(range.first);
  const Block& last = table.at(BlockId{index_of(range.first) + range.count - 1});
  REQUIRE(first.first_row == first_row);
  REQUIRE(last.first_row + last.n_rows == first_row + n_rows);
  for (std::int32_t i = 0; i + 1 < range.count; ++i) {
    const Block& block = table.at(BlockId{index_of(range.first) + i});
    REQUIRE(block.n_rows == first.n_rows);
    REQUIRE((block.n_rows < 16 || block.n_rows % 16 == 0));
  }
  REQUIRE(last.n_rows <= first.n_rows);
}

void check_matrices(const BlockTable& table, const TensorTable& tensors, TensorId id) {
  const TensorInfo& tensor = tensors.at(id);
  const std::int64_t n = tensor.shape.size() == 3 ? tensor.shape.front() : 1;
  const std::int64_t rows = tensor.n_rows() / n;
  for (std::int64_t i = 0; i < n; ++i) {
    check_matrix(table, table.of_matrix(id, i, n), i * rows, rows);
  }
}

}  // namespace

TEST_CASE("blocks cover each tensor exactly, for random shapes, types and targets") {
  std::mt19937_64 random(test_seed());
  const DType types[] = {DType::kF32,  DType::kF16,  DType::kBF16,
                         DType::kQ4_0, DType::kQ4_1, DType::kQ8_0};
  for (int round = 0; round < 100; ++round) {
    TensorTable tensors;
    for (int file = 0; file < 2; ++file) {
      for (int i = 0; i < 10; ++i) {
        const auto rows = static_cast<std::int64_t>(random() % 3000 + 1);
        const auto cols = static_cast<std::int64_t>(random() % 20 + 1) * 32;
        const DType type = types[random() % std::size(types)];
        if (random() % 4 == 0) {
          add_tensor(tensors, FileId{file}, type, {cols});
        } else if (random() % 4 == 0) {
          add_tensor(tensors, FileId{file}, type, {3, rows, cols});
        } else {
          add_tensor(tensors, FileId{file}, type, {rows, cols});
        }
      }
    }
    const BlockTable table(tensors, static_cast<std::int64_t>(random() % (256 * kKiB) + 1));
    std::int32_t blocks = 0;
    for (std::int32_t i = 0; i < 20; ++i) {
      REQUIRE(index_of(table.of_tensor(TensorId{i}).first) == blocks);
      check_covers(table, tensors, TensorId{i});
      check_matrices(table, tensors, TensorId{i});
      blocks += table.of_tensor(TensorId{i}).count;
    }
    REQUIRE(std::ssize(table.blocks()) == blocks);
  }
}

TEST_CASE("blocks are about the target size, and a tensor below 1.5 targets stays whole") {
  TensorTable tensors;
  add_tensor(tensors, FileId{0}, DType::kF32, {1500 - 1, 256});  // just below 1.5 * 1000 KiB
  add_tensor(tensors, FileId{0}, DType::kF32, {1500, 256});
  add_tensor(tensors, FileId{0}, DType::kF32, {100'003, 256});
  const BlockTable table(tensors, 1000 * kKiB);
  CHECK(table.of_tensor(TensorId{0}).count == 1);
  CHECK(table.of_tensor(TensorId{1}).count == 2);
  const BlockRange large = table.of_tensor(TensorId{2});
  CHECK(large.count == 100);
  CHECK(table.at(large.first).n_rows == 1008);
}

TEST_CASE("no block spans two matrices of a stack, and a small matrix is one block") {
  TensorTable tensors;
  add_tensor(tensors, FileId{0}, DType::kF32, {8, 10, 256});    // matrices of 10 KiB
  add_tensor(tensors, FileId{0}, DType::kF32, {3, 2500, 256});  // of 2500 KiB
  const BlockTable table(tensors, 1000 * kKiB);
  REQUIRE(table.of_tensor(TensorId{0}).count == 8);
  CHECK(table.of_matrix(TensorId{0}, 5, 8).count == 1);
  CHECK(table.at(table.of_matrix(TensorId{0}, 5, 8).first).first_row == 50);
  REQUIRE(table.of_tensor(TensorId{1}).count == 9);
  CHECK(table.of_matrix(TensorId{1}, 2, 3).count == 3);
  CHECK(fails_a_check([&] { table.of_matrix(TensorId{1}, 3, 3); }));
  CHECK(fails_a_check([&] { table.of_matrix(TensorId{0}, 0, 3); }));
}

TEST_CASE("runs are rounded out to 4 KiB and hold their blocks") {
  TensorTable tensors;
  for (int i = 0; i < 5; ++i) add_tensor(tensors, FileId{0}, DType::kF16, {333, 77}, 100);
  const BlockTable table(tensors, 8 * kKiB);
  const auto n_blocks = static_cast<std::int32_t>(table.blocks().size());
  for (std::int32_t first = 0; first < n_blocks; ++first) {
    for (std::int32_t count = 1; first + count <= n_blocks; count += 3) {
      const Run run = make_run(table, {BlockId{first}, count});
      const Extent& head = table.at(BlockId{first}).extent;
      const Extent& tail = table.at(BlockId{first + count - 1}).extent;
      REQUIRE(run.aligned.offset_bytes % 4096 == 0);
      REQUIRE(run.aligned.size_bytes % 4096 == 0);
      REQUIRE(run.aligned.offset_bytes <= head.offset_bytes);
      REQUIRE(run.aligned.offset_bytes > head.offset_bytes - 4096);
      REQUIRE(run.aligned.end_bytes() >= tail.end_bytes());
      REQUIRE(run.aligned.end_bytes() < tail.end_bytes() + 4096);
    }
  }
}

TEST_CASE("blocks adjoin across alignment padding, not across larger gaps or files") {
  TensorTable tensors;
  add_tensor(tensors, FileId{0}, DType::kF32, {33});
  add_tensor(tensors, FileId{0}, DType::kF32, {1});  // after 28 bytes of padding
  add_tensor(tensors, FileId{0}, DType::kF32, {1});
  tensors.tensors.back().extent.offset_bytes = tensors.tensors[1].extent.end_bytes() + 4096;
  add_tensor(tensors, FileId{1}, DType::kF32, {1});
  const BlockTable table(tensors, kMiB);
  CHECK(adjoins(table, BlockId{0}, BlockId{1}));
  CHECK_FALSE(adjoins(table, BlockId{1}, BlockId{2}));
  CHECK_FALSE(adjoins(table, BlockId{2}, BlockId{3}));
  CHECK_FALSE(adjoins(table, BlockId{0}, BlockId{2}));
  CHECK_FALSE(adjoins(table, BlockId{1}, BlockId{0}));
  CHECK_FALSE(adjoins(table, BlockId{1}, BlockId{1}));
  CHECK(fails_a_check([&] { make_run(table, {BlockId{2}, 2}); }));
}

TEST_CASE("every block but the last of a tensor adjoins its successor") {
  TensorTable tensors;
  add_tensor(tensors, FileId{0}, DType::kQ4_0, {4096, 512});
  const BlockTable table(tensors, 64 * kKiB);
  const BlockRange range = table.of_tensor(TensorId{0});
  REQUIRE(range.count > 10);
  for (BlockId id = range.first; index_of(id) + 1 < range.count; id = next_of(id)) {
    REQUIRE(adjoins(table, id, next_of(id)));
  }
}

TEST_CASE("the table of a 40 GB model takes under 3 MB") {
  TensorTable tensors;
  for (int layer = 0; layer < 80; ++layer) {  // 70B-class, q4_0
    for (int i = 0; i < 4; ++i)
      add_tensor(tensors, FileId{0}, DType::kQ4_0, {8192, i < 2 ? 8192 : 1024});
    for (int i = 0; i < 3; ++i) add_tensor(tensors, FileId{0}, DType::kQ4_0, {28672, 8192});
    for (int i = 0; i < 2; ++i) add_tensor(tensors, FileId{0}, DType::kF32, {8192});
  }
  REQUIRE(tensors.tensors.back().extent.end_bytes() > 38'000'000'000);
  const BlockTable table(tensors, kMiB);
  CHECK(table.blocks().size() > 30'000);
  CHECK(table.size_bytes() < 3'000'000);
}
