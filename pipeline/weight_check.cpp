#include "pipeline/weight_check.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <optional>
#include <vector>

#include "src/base/check.h"
#include "src/base/error.h"

namespace windlass {
namespace {

// Floats of a row that are made and looked at together: 16 KiB, whole blocks of every type.
constexpr std::int64_t kColumns = 4096;
// Runs read before they are looked at: the disk is the slower by far.
constexpr std::int64_t kBatchBytes = std::int64_t{32} << 20;
constexpr std::size_t kNamedTensors = 5;

using Dequantize = void (*)(const DequantizeRowsArgs&, WorkRange);

// Rows of one block, and how many of them have a weight that is not finite.
struct RowsArgs {
  const std::byte* rows;
  std::int64_t row_bytes, n_columns;
  DType type;
  Dequantize dequantize;
  std::atomic<std::int64_t>* first_bad;  // row of the block; n_rows: none
  std::atomic<std::int64_t>* n_bad;
};

bool is_finite(float value) {
  constexpr std::uint32_t kExponent = 0x7f800000;
  return (std::bit_cast<std::uint32_t>(value) & kExponent) != kExponent;
}

// Column of the first weight of the row that is not finite, and its value.
struct BadWeight {
  std::int64_t column;
  float value;
};
std::optional<BadWeight> find_bad(const RowsArgs& args, std::int64_t row) {
  alignas(64) float values[kColumns];
  for (std::int64_t column = 0; column < args.n_columns; column += kColumns) {
    const std::int64_t n = std::min(kColumns, args.n_columns - column);
    const std::byte* from =
        args.rows + row * args.row_bytes + windlass::row_bytes(args.type, column);
    args.dequantize({&from, values, 1, n}, {0, 1});
    bool all_finite = true;
    for (std::int64_t i = 0; i < n; ++i) all_finite &= is_finite(values[i]);
    if (all_finite) continue;
    const float* bad = std::find_if_not(values, values + n, is_finite);
    return BadWeight{column + (bad - values), *bad};
  }
  return std::nullopt;
}

void look_at_rows(const RowsArgs& args, WorkRange range) {
  for (std::int64_t row = range.begin; row < range.end; ++row) {
    if (!find_bad(args, row)) continue;
    args.n_bad->fetch_add(1);
    std::int64_t first = args.first_bad->load();
    while (row < first && !args.first_bad->compare_exchange_weak(first, row)) {
    }
  }
}

struct BadTensor {
  TensorId tensor;
  std::int64_t first_row, n_rows;
  BadWeight weight;
};

class WeightCheck {
 public:
  explicit WeightCheck(const WeightCheckParts& parts) : parts_(parts) {}

  void run(const std::function<void(std::int64_t)>& progress) {
    const auto n_blocks = static_cast<std::int32_t>(parts_.blocks.blocks().size());
    std::int64_t done_bytes = 0;
    for (std::int32_t next = 0; next < n_blocks;) {
      fill_batch(&next, n_blocks);
      const auto on_bytes = [&](std::int64_t bytes) { progress(done_bytes + bytes); };
      parts_.tiers.load_all(batch_, on_bytes);
      for (const TierManager::Placed& placed : batch_) {
        look_at_block(placed);
        done_bytes += placed.run.aligned.size_bytes;
      }
      drop_batch();
    }
    if (!bad_.empty()) report();
  }

 private:
  // As many of the next blocks as the memory has room for.
  void fill_batch(std::int32_t* next, std::int32_t n_blocks) {
    const std::int64_t room = std::min(std::ssize(parts_.memory), kBatchBytes);
    std::int64_t used = 0;
    batch_.clear();
    for (; *next < n_blocks; ++*next) {
      const Run run = make_run(parts_.blocks, {BlockId{*next}, 1});
      if (!batch_.empty() && used + run.aligned.size_bytes > room) return;
      WINDLASS_CHECK(used + run.aligned.size_bytes <= std::ssize(parts_.memory),
                     run.aligned.size_bytes, parts_.memory.size());
      batch_.push_back({run, parts_.memory.data() + used});
      used += run.aligned.size_bytes;
    }
  }

  void drop_batch() {
    for (const TierManager::Placed& placed : batch_) parts_.tiers.drop(placed.run);
  }

  void look_at_block(const TierManager::Placed& placed) {
    const Block& block = parts_.blocks.at(placed.run.blocks.first);
    const TensorInfo& tensor = parts_.tensors.at(block.tensor);
    const Dequantize dequantize = parts_.ops.dequantize_rows[static_cast<std::size_t>(tensor.type)];
    if (dequantize == nullptr) return;  // whole numbers, which are finite
    std::atomic<std::int64_t> first_bad = block.n_rows, n_bad = 0;
    const RowsArgs args{
        placed.destination + (block.extent.offset_bytes - placed.run.aligned.offset_bytes),
        tensor.row_bytes(),
        tensor.n_cols(),
        tensor.type,
        dequantize,
        &first_bad,
        &n_bad};
    constexpr std::int64_t kGrainBytes = 64 << 10;
    parts_.team.run(
        look_at_rows, args, block.n_rows,
        std::max<std::int64_t>(kGrainBytes / std::max<std::int64_t>(args.row_bytes, 1), 1));
    if (n_bad == 0) return;
    if (bad_.empty() || bad_.back().tensor != block.tensor) {
      bad_.push_back({block.tensor, block.first_row + first_bad, 0, *find_bad(args, first_bad)});
    }
    bad_.back().n_rows += n_bad;
  }

  [[noreturn]] void report() const {
    std::string list;
    for (std::size_t i = 0; i < std::min(bad_.size(), kNamedTensors); ++i) {
      const BadTensor& bad = bad_[i];
      list += fmt::format("{}'{}' row {} (column {} is {}; {} bad {})", i == 0 ? "" : ", ",
                          parts_.tensors.at(bad.tensor).name, bad.first_row, bad.weight.column,
                          bad.weight.value, bad.n_rows, bad.n_rows == 1 ? "row" : "rows");
    }
    if (bad_.size() > kNamedTensors) {
      list += fmt::format(" and {} tensors more", bad_.size() - kNamedTensors);
    }
    const TensorInfo& first = parts_.tensors.at(bad_.front().tensor);
    fail(ErrorCode::kBadFile,
         "{}: weights that are not finite: {}; get the file again, or convert it anew",
         parts_.tensors.files[static_cast<std::size_t>(index_of(first.extent.file))].path, list);
  }

  const WeightCheckParts& parts_;
  std::vector<TierManager::Placed> batch_;
  std::vector<BadTensor> bad_;
};

}  // namespace

void check_weights(const WeightCheckParts& parts,
                   const std::function<void(std::int64_t)>& progress) {
  WeightCheck(parts).run(progress);
}

}  // namespace windlass
