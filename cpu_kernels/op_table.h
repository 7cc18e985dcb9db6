// The CPU backend: an op table per ISA, picked at run time, and the team of threads that runs ops.
// This is the one header that the pipeline includes from here.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/ops/op_table.h"

namespace windlass {

// Instruction sets, the better later. They are no ladder: each is wider than the one that base_isa
// names, and a CPU may have AVX-VNNI without AVX-512, or AVX-512 without AVX-VNNI.
enum class Isa : std::uint8_t { kScalar, kAvx2, kAvxVnni, kAvx512, kAvx512Vnni, kAvx512Bf16, kAmx };
inline constexpr Isa kAllIsas[] = {Isa::kScalar,     Isa::kAvx2,       Isa::kAvxVnni, Isa::kAvx512,
                                   Isa::kAvx512Vnni, Isa::kAvx512Bf16, Isa::kAmx};

// The set that `isa` adds to; kScalar's is itself.
constexpr Isa base_isa(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
    case Isa::kAvx2:
      return Isa::kScalar;
    case Isa::kAvxVnni:
    case Isa::kAvx512:
      return Isa::kAvx2;
    case Isa::kAvx512Vnni:
      return Isa::kAvx512;
    case Isa::kAvx512Bf16:
      return Isa::kAvx512Vnni;
    case Isa::kAmx:
      return Isa::kAvx512Bf16;
  }
  return Isa::kScalar;
}

const char* isa_name(Isa isa);  // "avx512vnni"
std::optional<Isa> isa_by_name(std::string_view name);
// CPU and OS (XCR0) both. Of AMX also the kernel's leave to use tiles, which the first call asks
// for.
bool isa_present(Isa isa);
// The last of kAllIsas that is present and worth having: AVX-512-BF16 is not on Intel's CPUs, where
// it is slower than AVX-512-VNNI.
Isa best_isa();
// What `isa` needs and this machine lacks, such as "avx512_vnni"; empty if present.
std::string missing_features(Isa isa);
// Name "" picks the best. Error(kUsage) for an unknown name (lists the known), Error(kUnsupported)
// for one that this machine lacks (names the missing CPU feature and lists the sets present).
Isa choose_isa(std::string_view name);

// REQUIRES: isa_present(isa).
const OpTable& cpu_op_table(Isa isa);

// What of the machine is this process's.
struct CpuShare {
  std::vector<int> cpus;    // hardware threads of the affinity mask, ascending; at least one
  int cores = 0;            // physical cores that these belong to
  int nodes = 0;            // NUMA nodes, of these
  double quota = 0;         // CPUs' worth of time that the cgroups grant; infinite without a quota
  std::string quota_group;  // the cgroup that grants no more: its folder
};
CpuShare cpu_share();
std::string cpu_list(const std::vector<int>& cpus);  // "0-3,8"; ascending
// Threads that a team has unless told otherwise: one a physical core, for the hardware threads of a
// core share the units that kernels keep busy, and no more than the quota grants. At least 1.
int usable_cores();

class Topology;

// A team of threads that runs one region at a time, an op or several that do not depend on each
// other: the caller and n_threads - 1 helpers from a oneTBB arena claim chunks of the ops' items,
// each first of its own share of them (lanes.h). Helpers spin briefly between regions, then sleep,
// so a step that waits for the disk burns no core. A region ends when its last chunk ends; the team
// never waits for a helper that has not started, so it cannot deadlock where oneTBB gives fewer
// threads. Results do not depend on the number of threads. Owner-thread: run() from one thread at a
// time. Cost of an empty region: under 1 us on two cores.
//
// Where the CPUs of this process belong to several NUMA nodes, threads are divided over these by
// their cores and may run on their node's CPUs only; the caller, which is the thread that makes the
// team, as long as the team lives. Threads are numbered node by node and so are their shares of an
// op: rows [n * first / threads, n * end / threads) of a weight are a node's, in every step. On one
// node nothing is bound.
class Team {
 public:
  // Most ops of a region: the gate and up products of 8 experts, the attention of 16 sequences.
  static constexpr std::size_t kMostJobs = 16;

  // An op over all of [0, items), in calls of one or more chunks of `grain` >= 1 items (the last
  // may be shorter): the grain is the least that is worth a call and a claim.
  class Job {
   public:
    Job() = default;
    // args must outlive the region.
    template <typename Args>
    Job(void (*function)(const Args&, WorkRange), const Args& args, std::int64_t items,
        std::int64_t grain)
        : items_(items),
          grain_(grain),
          chunks_((items + grain - 1) / grain),
          invoke_(&invoke<Args>),
          function_(reinterpret_cast<void (*)()>(function)),
          args_(&args) {}

   private:
    friend class Team;
    template <typename Args>
    static void invoke(void (*function)(), const void* args, WorkRange range) {
      reinterpret_cast<void (*)(const Args&, WorkRange)>(function)(*static_cast<const Args*>(args),
                                                                   range);
    }
    void run_chunks(std::int64_t begin, std::int64_t end) const {
      invoke_(function_, args_, {begin * grain_, std::min(end * grain_, items_)});
    }

    std::int64_t items_ = 0, grain_ = 1, chunks_ = 0;
    void (*invoke_)(void (*function)(), const void* args, WorkRange range) = nullptr;
    void (*function_)() = nullptr;
    const void* args_ = nullptr;
  };

  // Takes fewer threads where the system refuses more (limits on processes or address space):
  // n_threads() tells. The caller's own is always there. REQUIRES 1 <= n_threads <= 2048.
  explicit Team(int n_threads);
  // As on the machine of `topology`, which outlives the team.
  Team(int n_threads, const Topology& topology);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;
  int n_threads() const { return n_threads_; }
  int n_nodes() const;

  // Both before the memory's first touch, and without effect on one node. Where the system refuses,
  // pages come from the node of whoever touches them, and only speed suffers.
  //
  // For memory that an op reads evenly, item after item (the rows of a weight): pages come from the
  // nodes whose threads claim these items first. In whole pages of page_bytes, that of its first
  // byte among them; memory with less than two of them for each node is left as it is.
  void place_by_items(std::span<std::byte> memory, std::int64_t page_bytes) const;
  // For memory that no thread has a claim on: pages come from the nodes in turn.
  void interleave(std::span<std::byte> memory) const;

  // Ops so far that were more than one chunk, and so waited for helpers.
  std::int64_t n_regions() const { return n_regions_; }

  // Seconds that the threads have spent inside ops, all together. What is missing to n_threads()
  // times the wall time went to waiting: for each other, for the caller between regions, for a
  // core. Between regions only.
  double busy_s() const;
  // Of what is missing, the part that regions cost, seconds of all threads together: to open one,
  // to come late, to wait for the last chunk. Between regions only.
  double region_overhead_s() const;

  // Runs all jobs; none may read or write what another writes. REQUIRES at most kMostJobs.
  void run(std::span<const Job> jobs);
  template <typename Args>
  void run(void (*function)(const Args&, WorkRange), const Args& args, std::int64_t items,
           std::int64_t grain) {
    const Job job(function, args, items, grain);
    run({&job, 1});
  }

 private:
  struct State;
  class Binding;
  void run_here(std::span<const Job> jobs);
  int n_threads_;
  std::uint64_t alone_ticks_ = 0;   // of the caller inside ops that were one chunk
  std::uint64_t region_ticks_ = 0;  // from a region's opening to its end
  std::int64_t n_regions_ = 0;
  std::unique_ptr<State> state_;      // null: no helpers
  std::unique_ptr<Binding> binding_;  // of the caller; null: none
};

// How an op is cut into chunks: op_items says how many items it has (the unit is stated at its
// struct), op_grain how many of them make a chunk for a team of n_threads. The cut never changes a
// result.
inline std::int64_t op_items(const NormArgs& args) { return args.rows; }
inline std::int64_t op_items(const QuantizeRowsArgs& args) { return args.rows; }
inline std::int64_t op_items(const MatMulArgs& args) { return args.n_out; }
inline std::int64_t op_items(const MatMulTransposedArgs& args) { return args.n_out; }
inline std::int64_t op_items(const RopeArgs& args) { return args.tokens; }
inline std::int64_t op_items(const ChooseExpertsArgs& args) { return args.rows; }
inline std::int64_t op_items(const GatherRowsArgs& args) { return args.rows; }
inline std::int64_t op_items(const CombineRowsArgs& args) { return args.rows; }
inline std::int64_t op_items(const ActivateArgs& args) { return args.rows; }
inline std::int64_t op_items(const AddArgs& args) { return args.rows; }
inline std::int64_t op_items(const ScaleArgs& args) { return args.rows; }
inline std::int64_t op_items(const DequantizeRowsArgs& args) { return args.n_rows; }
inline std::int64_t op_items(const KvAppendArgs& args) { return args.tokens; }
inline std::int64_t op_items(const AttentionArgs& args) {
  return args.kv_heads * (args.partials != nullptr ? n_splits(args) : args.tokens);
}
inline std::int64_t op_items(const MergePartialsArgs& args) { return args.rows; }

namespace internal {

// Items of a chunk: as many as make `least_work`. A chunk is claimed in 20 ns and a region costs
// 300 to 400, so a chunk of a microsecond is the least that pays; threads claim many at once where
// there are many.
constexpr std::int64_t grain_of(std::int64_t work_per_item, std::int64_t least_work) {
  return std::max<std::int64_t>(
      1, (least_work + work_per_item - 1) / std::max<std::int64_t>(work_per_item, 1));
}
constexpr std::int64_t whole(std::int64_t items, std::int64_t step) {
  return (items + step - 1) / step * step;
}

inline constexpr std::int64_t kLeastFloats = 8192;  // of an elementwise op: 32 KiB, about 3 us

// Of rows of `width` floats, chunks that make equal lanes, of as many threads as find the least of
// work: of a few rows, the last chunk would otherwise be a small part of the others, and its thread
// would wait for them.
constexpr std::int64_t rows_grain(std::int64_t rows, std::int64_t width, int n_threads) {
  const auto divide_up = [](std::int64_t a, std::int64_t b) { return (a + b - 1) / b; };
  const std::int64_t lanes =
      std::clamp<std::int64_t>(divide_up(rows * width, kLeastFloats), 1, n_threads);
  const std::int64_t lane_rows = std::max<std::int64_t>(divide_up(rows, lanes), 1);
  return divide_up(lane_rows, std::max<std::int64_t>(lane_rows * width / kLeastFloats, 1));
}

}  // namespace internal

inline std::int64_t op_grain(const NormArgs& args, int n_threads) {
  return internal::rows_grain(args.rows, args.vectors * args.width, n_threads);
}
inline std::int64_t op_grain(const QuantizeRowsArgs& args, int n_threads) {
  return internal::rows_grain(args.rows, args.width, n_threads);
}
inline std::int64_t op_grain(const RopeArgs& args, int n_threads) {
  return internal::rows_grain(args.tokens, args.heads * args.dims, n_threads);
}
inline std::int64_t op_grain(const ActivateArgs& args, int n_threads) {
  return internal::rows_grain(args.rows, args.width, n_threads);
}
inline std::int64_t op_grain(const AddArgs& args, int n_threads) {
  return internal::rows_grain(args.rows, args.width, n_threads);
}
inline std::int64_t op_grain(const ScaleArgs& args, int n_threads) {
  return internal::rows_grain(args.rows, args.width, n_threads);
}
inline std::int64_t op_grain(const DequantizeRowsArgs& args, int) {
  return internal::grain_of(args.width, internal::kLeastFloats);
}
// A row costs an exponential for each expert, and a look at each for each choice.
inline std::int64_t op_grain(const ChooseExpertsArgs& args, int) {
  return internal::grain_of(args.n_experts * (args.n_used + 4), internal::kLeastFloats);
}
inline std::int64_t op_grain(const GatherRowsArgs& args, int) {
  return internal::grain_of(args.width, internal::kLeastFloats);
}
inline std::int64_t op_grain(const CombineRowsArgs& args, int) {
  return internal::grain_of(args.n_used * args.width, internal::kLeastFloats);
}
inline std::int64_t op_grain(const KvAppendArgs& args, int) {
  // Tokens whose keys lie side by side share cache lines.
  const std::int64_t floats = args.kv_heads * (args.key_dim + args.value_dim);
  return internal::whole(internal::grain_of(floats, internal::kLeastFloats), kKvGroupKeys);
}
// Whole panels of 32 rows (matmul_q8_inl.h), or the 16 that make the lanes of a vector where few
// tokens need no panel: a decode step's products take some 20 us on two threads, and these wait for
// each other's last chunk. At least 4 KiB of weights for one token, less where many share them.
// Activations of many tokens come from beyond L2 once for each claim, so of those about 128 rows,
// in chunks that make equal lanes.
inline std::int64_t op_grain(const MatMulArgs& args, int n_threads) {
  constexpr std::int64_t kLeastBytes = 4 << 10, kPanelRows = 32, kVectorRows = 16;
  constexpr std::int64_t kFewTokens = 4, kManyTokens = 64, kManyTokensRows = 128;
  const std::int64_t least =
      internal::whole(internal::grain_of(args.row_bytes * args.n_tokens, kLeastBytes),
                      args.n_tokens <= kFewTokens ? kVectorRows : kPanelRows);
  if (args.n_tokens < kManyTokens) return least;
  const std::int64_t lane = (args.n_out + n_threads - 1) / n_threads;
  const std::int64_t chunks = (lane + kManyTokensRows - 1) / kManyTokensRows;
  return std::max(least, internal::whole((lane + chunks - 1) / chunks, kPanelRows));
}
// At least 128 columns, two cache lines and more of each row that a chunk walks down.
inline std::int64_t op_grain(const MatMulTransposedArgs& args, int) {
  constexpr std::int64_t kLeastMultiplies = 65536, kColumns = 128;
  return internal::whole(internal::grain_of(args.n_in * args.n_tokens, kLeastMultiplies), kColumns);
}
inline std::int64_t op_grain(const MergePartialsArgs& args, int) {
  return internal::grain_of(args.n_splits * args.value_dim, internal::kLeastFloats);
}
// A split, or the tokens of one kv head whose queries fill the tile that each block of keys is
// turned to floats for (attention_tile_inl.h), fewer where threads would go without.
inline std::int64_t op_grain(const AttentionArgs& args, int n_threads) {
  constexpr std::int64_t kLeastMultiplies = 12288, kTileQueries = 96;
  if (args.partials != nullptr) return 1;
  std::int64_t keys = 1;
  for (std::int64_t s = 0; s < args.n_segments; ++s) keys += args.segments[s].n_keys;
  if (args.window > 0) keys = std::min(keys, args.window);
  const std::int64_t group = args.heads / args.kv_heads;
  const std::int64_t work = keys * (args.key_dim + args.value_dim) * group;
  const std::int64_t fair = op_items(args) / (4 * std::int64_t{n_threads});
  const std::int64_t tile = std::max(kTileQueries / group, std::int64_t{1});
  return std::max(internal::grain_of(work, kLeastMultiplies), std::min(fair, tile));
}

// An op of the table over all its items, as a job of a region, and by itself.
template <typename Args>
Team::Job op_job(const Team& team, void (*function)(const Args&, WorkRange), const Args& args) {
  return {function, args, op_items(args), op_grain(args, team.n_threads())};
}
template <typename Args>
void run_op(Team& team, void (*function)(const Args&, WorkRange), const Args& args) {
  team.run(function, args, op_items(args), op_grain(args, team.n_threads()));
}

}  // namespace windlass
