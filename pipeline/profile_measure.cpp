// Measures the machine with the parts a run uses: the op tables on the team, and the I/O engine on
// the model's file (disk_probe).
#include <algorithm>
#include <memory>
#include <vector>

#include "pipeline/disk_probe.h"
#include "pipeline/memory_limits.h"
#include "pipeline/profile.h"
#include "src/base/clock.h"
#include "src/base/units.h"
#include "src/ops/weight_types.h"
#include "tiers/arena.h"
#include "tiers/kv_pages.h"

namespace windlass {
namespace {

constexpr std::int64_t kMostBuffer = 512 * kMiB;  // past any cache that a run could hit
constexpr std::int64_t kWidth = 3072;             // n_in of the matmul probes: a mid-sized model's
constexpr std::int64_t kManyRows = 128, kPanelRows = 32, kSomeRows = kFewRows;

// Bytes that are finite in every weight type: f16 scales of about 0.03, small f32.
void fill_weights(std::span<std::byte> memory) {
  std::uint32_t state = 12345;
  for (std::byte& byte : memory) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<std::byte>(0x28u | (state >> 29));
  }
}

// Calls `once` until 30 ms have passed (at least twice, the first not counted); seconds a call.
template <typename Function>
double seconds_of(const Function& once) {
  once();
  const double begin_s = now_s();
  int calls = 0;
  do {
    once();
    ++calls;
  } while (now_s() - begin_s < 0.03);
  return (now_s() - begin_s) / calls;
}

class CpuProbe {
 public:
  CpuProbe(const OpTable& ops, Team& team, std::span<std::byte> memory)
      : ops_(ops),
        team_(team),
        memory_(memory),
        activations_(static_cast<std::size_t>(kManyRows * kWidth), 0.01F),
        some_quantized_(static_cast<std::size_t>(kSomeRows * q8_row_bytes(kWidth)) + 64),
        quantized_(static_cast<std::size_t>(kManyRows * q8_row_bytes(kWidth)) + 64),
        rounded_(static_cast<std::size_t>(kManyRows * bf16_row_bytes(kWidth)) + 64) {
    run_op(team_, ops_.quantize_rows,
           QuantizeRowsArgs{activations_.data(), aligned(some_quantized_), kSomeRows, kWidth,
                            kWidth, q8_layout(kSomeRows, kWidth)});
    run_op(team_, ops_.quantize_rows,
           QuantizeRowsArgs{activations_.data(), aligned(quantized_), kManyRows, kWidth});
    if (ops_.round_rows == nullptr) return;
    run_op(team_, ops_.round_rows,
           QuantizeRowsArgs{activations_.data(), aligned(rounded_), kManyRows, kWidth});
  }

  double dram_bytes_per_s() {
    return static_cast<double>(memory_.size()) / seconds_of([&] { read_through(team_, memory_); });
  }

  double op_overhead_s() {
    const AddArgs args{activations_.data(), activations_.data(), 0, 64, 2, 64};
    constexpr int kCalls = 500;
    return seconds_of([&] {
             for (int i = 0; i < kCalls; ++i) team_.run(ops_.add, args, 2, 1);
           }) /
           kCalls;
  }

  // One measurement of a weight type, seconds a weight at so many rows: 1, kSomeRows, kPanelRows,
  // kManyRows.
  struct WeightSeconds {
    double one = 0, some = 0, panel = 0, many = 0;
  };

  WeightSeconds mat_mul(DType type, bool rounded) {
    const Product product = product_of(type, rounded);
    if (product.function == nullptr) return {};
    const std::int64_t bytes = product.args.row_bytes;
    const std::int64_t rows = static_cast<std::int64_t>(memory_.size()) / bytes;
    // In stretches of about 1 MiB, as a plan's entries are; at many rows a few chunks for each
    // thread do.
    const std::int64_t stretch = std::max<std::int64_t>(kMiB / bytes, 1);
    const std::int64_t few = std::min<std::int64_t>(stretch, 128 * team_.n_threads());
    out_.resize(static_cast<std::size_t>(kManyRows * stretch));
    const std::int64_t past_caches = std::min(rows, 64 * kMiB / bytes);
    return {weight_s(product, {1, stretch, rows}, 0.06),
            weight_s(product, {kSomeRows, few, past_caches}, 0.03),
            weight_s(product, {kPanelRows, few, past_caches}, 0.03),
            weight_s(product, {kManyRows, few, few}, 0.03)};
  }

  void attention(Profile& profile) {
    constexpr std::int64_t kHeads = 24, kKvHeads = 8, kHeadDim = 128;
    const std::int64_t page_bytes = 2 * kKvHeads * kHeadDim * kKvPageTokens * 2;
    const std::int64_t n_pages =
        std::min<std::int64_t>(static_cast<std::int64_t>(memory_.size()) / page_bytes, 16);
    std::vector<std::byte*> pages;
    for (std::int64_t i = 0; i < n_pages; ++i) pages.push_back(memory_.data() + i * page_bytes);
    const std::int64_t keys = n_pages * kKvPageTokens;
    const std::vector<std::int32_t> positions(kManyRows, static_cast<std::int32_t>(keys));
    std::vector<float> q(static_cast<std::size_t>(kManyRows * kHeads * kHeadDim), 0.01F),
        out(q.size());
    const KvSegment segment{pages.data(), keys, 0, true};
    constexpr std::int64_t kGroup = kHeads / kKvHeads;
    const Vectors heads{q.data(), kHeads * kHeadDim, kGroup, kGroup * kHeadDim, kHeadDim};
    AttentionArgs args{heads,  out.data(), &segment, 1,        positions.data(), 1,
                       kHeads, kKvHeads,   kHeadDim, kHeadDim, kKvPageTokens,    0,
                       0.1F,   0.0F,       {}};
    const double one_s = seconds_of([&] { run_op(team_, ops_.attention, args); });
    profile.attention_bytes_per_s = static_cast<double>(n_pages * page_bytes) / one_s;
    args.tokens = kManyRows;
    const double many_s = seconds_of([&] { run_op(team_, ops_.attention, args); });
    profile.attention_ops_per_s =
        4.0 * static_cast<double>(kManyRows * keys * kHeads * kHeadDim) / many_s;
  }

 private:
  struct Product {
    void (*function)(const MatMulArgs&, WorkRange) = nullptr;
    MatMulArgs args = {};  // but for what Shape says
    bool q8 = false;
  };
  // n_tokens by n_out rows of weights, from the first n_rows of memory in turns.
  struct Shape {
    std::int64_t n_tokens, n_out, n_rows;
  };

  Product product_of(DType type, bool rounded) {
    const auto id = static_cast<std::size_t>(type);
    Product product;
    product.args.row_bytes = row_bytes(type, kWidth);
    if (!rounded) {
      product.function = ops_.matmul_f32[id];
      product.args.x = activations_.data();
      product.args.x_stride_bytes = kWidth * 4;
    } else if (type == DType::kBF16) {
      product.function = ops_.matmul_bf16[id];
      product.args.x = aligned(rounded_);
      product.args.x_stride_bytes = bf16_row_bytes(kWidth);
    } else {
      product.function = ops_.matmul_q8[id];
      product.q8 = true;
    }
    return product;
  }

  // As long for a slow type as for a fast one, which goes through most of the memory.
  double weight_s(const Product& product, const Shape& shape, double least_s) {
    MatMulArgs args = product.args;
    args.n_tokens = shape.n_tokens;
    args.n_in = kWidth;
    args.n_out = args.out_stride = shape.n_out;
    args.out = out_.data();
    if (product.q8) place_quantized(args);
    const std::int64_t parts = std::max<std::int64_t>(shape.n_rows / shape.n_out, 1);
    const auto run_part = [&](std::int64_t part) {
      args.weights = memory_.data() + part * shape.n_out * args.row_bytes;
      run_op(team_, product.function, args);
    };
    run_part(0);  // not counted
    const double begin_s = now_s();
    std::int64_t done = 0;
    do {
      run_part(++done % parts);
    } while (now_s() - begin_s < least_s);
    return (now_s() - begin_s) / static_cast<double>(done * shape.n_out * kWidth);
  }

  // As a step of so many rows finds them.
  void place_quantized(MatMulArgs& args) {
    const Q8Layout layout = q8_layout(args.n_tokens, kWidth);
    args.x = aligned(args.n_tokens == kSomeRows ? some_quantized_ : quantized_);
    args.x_stride_bytes = layout.row_bytes;
    args.x_block_bytes = layout.block_bytes;
  }
  static std::byte* aligned(std::vector<std::byte>& rows) {
    const auto address = reinterpret_cast<std::uintptr_t>(rows.data());
    return rows.data() + (64 - address % 64) % 64;
  }
  const OpTable& ops_;
  Team& team_;
  std::span<std::byte> memory_;
  std::vector<float> activations_, out_;
  std::vector<std::byte> some_quantized_, quantized_, rounded_;  // of kSomeRows, of kManyRows
};

using Report = std::function<void(double, const char*)>;

// The slope between two counts of rows that take the same kernel is what a row costs, the rest what
// a weight costs once.
MatMulRates rates_of(DType type, const CpuProbe::WeightSeconds& weight_s) {
  if (weight_s.one == 0) return {};
  const double row_s = std::max(weight_s.many - weight_s.panel, weight_s.many / 2) /
                       static_cast<double>(kManyRows - kPanelRows);
  const auto weights_per_s = [&](double seconds, std::int64_t rows) {
    return 1.0 / std::max(seconds - row_s * static_cast<double>(rows), seconds / 100);
  };
  const double weight_bytes = static_cast<double>(row_bytes(type, kWidth)) / kWidth;
  return {weight_bytes / weight_s.one, 2.0 / row_s, weights_per_s(weight_s.some, kSomeRows),
          weights_per_s(weight_s.panel, kPanelRows)};
}

// The types that others cost like. Rounds over all of them, medians of each: what disturbs a
// machine lasts longer than one measurement and must not fall on one type alone.
void measure_mat_muls(CpuProbe& probe, Profile& profile, const Report& report) {
  std::vector<DType> types;
  for (const WeightType& row : kWeightTypes) {
    if (row.costs_like == row.type) types.push_back(row.type);
  }
  constexpr int kRounds = 3;
  const double share = 0.55 / static_cast<double>(kRounds * types.size());  // of all progress
  std::vector<std::array<CpuProbe::WeightSeconds, kRounds>> seen(2 * types.size());
  double done = 0.4;
  for (std::size_t round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < types.size(); ++i, done += share) {
      report(done, "matmul");
      seen[2 * i][round] = probe.mat_mul(types[i], true);
      seen[2 * i + 1][round] = probe.mat_mul(types[i], false);
    }
  }
  for (std::size_t i = 0; i < seen.size(); ++i) {
    auto& rounds = seen[i];
    const auto median = [&rounds](double CpuProbe::WeightSeconds::*of) {
      const auto middle = rounds.begin() + kRounds / 2;
      std::nth_element(rounds.begin(), middle, rounds.end(),
                       [of](const auto& a, const auto& b) { return a.*of < b.*of; });
      return (*middle).*of;
    };
    const DType type = types[i / 2];
    const MatMulRates rates = rates_of(
        type, {median(&CpuProbe::WeightSeconds::one), median(&CpuProbe::WeightSeconds::some),
               median(&CpuProbe::WeightSeconds::panel), median(&CpuProbe::WeightSeconds::many)});
    (i % 2 == 0 ? profile.int8 : profile.exact)[static_cast<std::size_t>(type)] = rates;
  }
}

}  // namespace

Profile measure_profile(const ProfileOptions& options,
                        const std::function<void(double, const char*)>& progress) {
  const Report report = [&](double done, const char* what) {
    if (progress) progress(done, what);
  };
  const std::int64_t least = kDiskProbeBytes;
  Arena arena(std::clamp(align_down(options.memory_bytes, kMiB), least, kMostBuffer));
  Budget budget(Tier::kHost, arena.size_bytes());
  const ArenaRange range = arena.carve(budget, Tag::kWeights, arena.size_bytes());
  const std::span<std::byte> memory(arena.at(range), static_cast<std::size_t>(range.size_bytes));
  Profile profile;
  profile.cpu = cpu_model_name();
  profile.isa = isa_name(options.isa);
  profile.threads = options.threads;
  profile.ram_bytes = read_memory_limits().total_bytes;
  report(0.0, "disk");
  Team team(options.threads);
  measure_disk(options, profile, team, memory.first(kDiskProbeBytes));

  fill_weights(memory);
  CpuProbe probe(cpu_op_table(options.isa), team, memory);
  report(0.3, "memory");
  profile.dram_bytes_per_s = probe.dram_bytes_per_s();
  profile.op_overhead_s = probe.op_overhead_s();
  measure_mat_muls(probe, profile, report);
  // A matmul can stream faster than the plain loop: what memory gives is the best seen.
  for (const auto* rates : {&profile.int8, &profile.exact}) {
    for (const MatMulRates& rate : *rates) {
      profile.dram_bytes_per_s = std::max(profile.dram_bytes_per_s, rate.gemv_bytes_per_s);
    }
  }
  report(0.95, "attention");
  probe.attention(profile);
  report(1.0, "done");
  return profile;
}

}  // namespace windlass
