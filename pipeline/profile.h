// The machine in numbers: measured once, cached, replaceable by a file.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "cpu_kernels/op_table.h"
#include "src/base/dtype.h"

namespace windlass {

// Products of so many rows and of more take different kernels on most instruction sets.
inline constexpr std::int64_t kFewRows = 16;

// Rates of one weight type on the whole team. 0: not measured.
struct MatMulRates {
  double gemv_bytes_per_s = 0;  // weight bytes at one row, weights not in cache
  double gemm_ops_per_s = 0;    // 2 * rows * weights, of each row more at many rows
  // What a weight costs once, however many rows it then serves: of up to kFewRows, and of more.
  double unpack_weights_per_s = 0, panel_weights_per_s = 0;
};

// A GPU and the links to it: rates as achieved, not as promised.
struct GpuProfile {
  std::string name;
  std::int64_t vram_bytes = 0;
  double vram_bytes_per_s = 0;
  double h2d_bytes_per_s = 0, d2h_bytes_per_s = 0;  // large copies of pinned memory
  double h2d_latency_s = 0, d2h_latency_s = 0;      // of a copy, beyond its share of that rate
  // Products at many rows: dequantised to f16, with 8-bit activations, in f32.
  double f16_ops_per_s = 0, int8_ops_per_s = 0, f32_ops_per_s = 0;
  double op_overhead_s = 0;  // of one op on a stream
};

struct Profile {
  std::string cpu;  // model name
  std::string isa;
  int threads = 0;
  double dram_bytes_per_s = 0;                   // plain read, all threads
  std::int64_t ram_bytes = 0;                    // that the machine has
  double op_overhead_s = 0;                      // one empty op over the team
  std::array<MatMulRates, kDTypeCount> int8{};   // rounded activations: q8, for BF16 weights bf16
  std::array<MatMulRates, kDTypeCount> exact{};  // f32 activations
  double attention_bytes_per_s = 0;              // KV bytes at one query
  double attention_ops_per_s = 0;                // 4 * query rows * keys * heads * head_dim at many
  std::string disk_path;                         // file system it was measured on
  double disk_bytes_per_s =
      0;  // direct reads of 1 MiB, 12 in flight, read before: what a cycle over the weights sees
  double disk_latency_s = 0;     // of a 1 MiB read alone, beyond its share of that rate
  double disk_small_read_s = 0;  // one 4 KiB direct read
  bool disk_direct = true;
  std::optional<GpuProfile> gpu;  // none: a machine without, or one whose GPU is not measured
  bool estimated = false;         // from data sheets: nobody has measured this machine
};

struct ProfileOptions {
  std::string model_path;  // reads this file; empty: writes and reads a scratch file in cache_dir
  std::string cache_dir;
  Isa isa = Isa::kScalar;
  int threads = 1;
  std::int64_t memory_bytes = 0;  // working memory it may use
};

// Measures (5 to 10 s). progress(0..1, what) may throw to stop.
Profile measure_profile(const ProfileOptions& options,
                        const std::function<void(double, const char*)>& progress);

// The cache key holds CPU, ISA, threads and the device of the model's file system.
std::string profile_cache_path(const ProfileOptions& options);
// Error(kIo) when the folder is not there and cannot be made.
void make_cache_dir(const std::string& path);

struct CachedProfile {
  Profile profile;
  bool measured = false;   // now; else it was in the cache
  std::string not_cached;  // measured, but not kept for the next time: why
};
// Cached if there, else measured and cached where that can be done.
CachedProfile load_or_measure_profile(const ProfileOptions& options,
                                      const std::function<void(double, const char*)>& progress);

// Rates of a weight type: its own where measured, else as WeightType::costs_like says, a weight for
// a weight, but not above what memory gives. All 0 where neither is known.
// `rounded`: the activations are q8, or for BF16 weights bf16.
MatMulRates matmul_rates(const Profile& profile, DType type, bool rounded);

// "Intel(R) Xeon(R) Processor", from /proc/cpuinfo.
std::string cpu_model_name();

nlohmann::json to_json(const Profile& profile);
// Error(kBadFile) naming path and key for anything missing or out of range.
Profile read_profile(const std::string& path);
void write_profile(const Profile& profile, const std::string& path);

}  // namespace windlass
