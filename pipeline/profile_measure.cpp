// Measures the machine with the parts a run uses: the op tables on the team, and the I/O engine on the model's file.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "pipeline/profile.h"
#include "src/base/clock.h"
#include "src/base/error.h"
#include "src/base/units.h"
#include "tiers/arena.h"
#include "tiers/block.h"
#include "tiers/disk_store.h"
#include "tiers/io_engine.h"
#include "tiers/kv_pages.h"

namespace windlass {
namespace {

constexpr std::int64_t kMostBuffer = 512 * kMiB;   // past any cache that a run could hit
constexpr std::int64_t kReadBytes = kMiB;
constexpr int kReadsInFlight = 8;
constexpr std::int64_t kMostDiskBytes = 512 * kMiB;
constexpr double kMostDiskSeconds = 1.0;
constexpr std::int64_t kWidth = 3072;              // n_in of the matmul probes: a mid-sized model's
constexpr std::int64_t kManyRows = 128;

// Bytes that are finite in every weight type: f16 scales of about 0.03, small f32.
void fill_weights(std::span<std::byte> memory) {
  std::uint32_t state = 12345;
  for (std::byte& byte : memory) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<std::byte>(0x28u | (state >> 29));
  }
}

// Calls `once` until 60 ms have passed (at least twice, the first not counted); seconds a call.
template <typename Function>
double seconds_of(const Function& once) {
  once();
  const double begin_s = now_s();
  int calls = 0;
  do {
    once();
    ++calls;
  } while (now_s() - begin_s < 0.06);
  return (now_s() - begin_s) / calls;
}

struct ReadSumArgs {
  const std::byte* data;
  std::int64_t* sink;
};

void read_sum(const ReadSumArgs& args, WorkRange range) {
  const auto* words = reinterpret_cast<const std::int64_t*>(args.data);
  std::int64_t lanes[8] = {};
  for (std::int64_t i = range.begin; i < range.end; i += 8) {
    for (int lane = 0; lane < 8; ++lane) lanes[lane] += words[i + lane];
  }
  std::int64_t sum = 0;
  for (const std::int64_t lane : lanes) sum += lane;
  if (sum == 42) ++*args.sink;  // keeps the reads alive
}

class CpuProbe {
 public:
  CpuProbe(const OpTable& ops, Team& team, std::span<std::byte> memory)
      : ops_(ops), team_(team), memory_(memory), activations_(static_cast<std::size_t>(kManyRows * kWidth), 0.01F),
        quantized_(static_cast<std::size_t>(kManyRows * q8_row_bytes(kWidth)) + 64) {
    const QuantizeRowsArgs args{activations_.data(), aligned_q8(), kManyRows, kWidth};
    run_op(team_, ops_.quantize_rows, args);
  }

  double dram_bytes_per_s() {
    std::int64_t sink = 0;
    const ReadSumArgs args{memory_.data(), &sink};
    const auto words = static_cast<std::int64_t>(memory_.size()) / 64 * 8;
    return static_cast<double>(words * 8) / seconds_of([&] { team_.run(&read_sum, args, words, 1 << 16); });
  }

  double op_overhead_s() {
    const SwiGluArgs args{activations_.data(), activations_.data(), activations_.data(), 2, 64};
    constexpr int kCalls = 500;
    return seconds_of([&] {
             for (int i = 0; i < kCalls; ++i) team_.run(ops_.swiglu, args, 2, 1);
           }) / kCalls;
  }

  MatMulRates mat_mul(DType type, bool int8) {
    const auto function = int8 ? ops_.matmul_q8[static_cast<std::size_t>(type)]
                               : ops_.matmul_f32[static_cast<std::size_t>(type)];
    if (function == nullptr) return {};
    const std::int64_t bytes = row_bytes(type, kWidth);
    const std::int64_t rows = static_cast<std::int64_t>(memory_.size()) / bytes;
    const void* x = int8 ? static_cast<const void*>(aligned_q8()) : activations_.data();
    std::vector<float> out(static_cast<std::size_t>(std::max(rows, kManyRows * kProbeRows)));
    MatMulArgs args{memory_.data(), bytes, rows, kWidth, x, 1, out.data(), rows, false};
    // In stretches of about 1 MiB, as a plan's entries are.
    const std::int64_t stretch = std::max<std::int64_t>(kMiB / bytes, 1);
    const double gemv_s = seconds_of([&] {
      for (std::int64_t row = 0; row + stretch <= rows; row += stretch) {
        MatMulArgs part = args;
        part.weights += row * bytes;
        part.out += row;
        part.n_out = stretch;
        run_op(team_, function, part);
      }
    });
    args.n_tokens = kManyRows;
    args.n_out = args.out_stride = std::min(rows, kProbeRows);
    const double gemm_s = seconds_of([&] { run_op(team_, function, args); });
    return {static_cast<double>(rows / stretch * stretch * bytes) / gemv_s,
            2.0 * static_cast<double>(kManyRows * args.n_out * kWidth) / gemm_s};
  }

  void attention(Profile& profile) {
    constexpr std::int64_t kHeads = 24, kKvHeads = 8, kHeadDim = 128;
    const std::int64_t page_bytes = 2 * kKvHeads * kHeadDim * kKvPageTokens * 2;
    const std::int64_t n_pages = std::min<std::int64_t>(static_cast<std::int64_t>(memory_.size()) / page_bytes, 16);
    std::vector<std::byte*> pages;
    for (std::int64_t i = 0; i < n_pages; ++i) pages.push_back(memory_.data() + i * page_bytes);
    const std::int64_t keys = n_pages * kKvPageTokens;
    const std::vector<std::int32_t> positions(kManyRows, static_cast<std::int32_t>(keys));
    std::vector<float> q(static_cast<std::size_t>(kManyRows * kHeads * kHeadDim), 0.01F), out(q.size());
    const KvSegment segment{pages.data(), keys, 0, true};
    AttentionArgs args{q.data(), out.data(), &segment, 1, positions.data(), 1, kHeads, kKvHeads, kHeadDim,
                       kKvPageTokens, 0.1F};
    const auto function = ops_.attention[static_cast<std::size_t>(KvType::kF16)];
    const double one_s = seconds_of([&] { run_op(team_, function, args); });
    profile.attention_bytes_per_s = static_cast<double>(n_pages * page_bytes) / one_s;
    args.tokens = kManyRows;
    const double many_s = seconds_of([&] { run_op(team_, function, args); });
    profile.attention_ops_per_s = 4.0 * static_cast<double>(kManyRows * keys * kHeads * kHeadDim) / many_s;
  }

 private:
  static constexpr std::int64_t kProbeRows = 512;
  std::byte* aligned_q8() {
    const auto address = reinterpret_cast<std::uintptr_t>(quantized_.data());
    return quantized_.data() + (64 - address % 64) % 64;
  }
  const OpTable& ops_;
  Team& team_;
  std::span<std::byte> memory_;
  std::vector<float> activations_;
  std::vector<std::byte> quantized_;
};

// A file of our own to read when no model is named; removed at once, alive through its descriptor's path.
class ScratchFile {
 public:
  explicit ScratchFile(const std::string& folder) : path_(folder + "/profile-scratch.bin") {
    const int fd = ::open(path_.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) fail(ErrorCode::kIo, "{}: cannot write a scratch file: {}; use --cache-dir", path_, std::strerror(errno));
    const std::vector<char> chunk(kMiB, 'w');
    bool whole = true;
    for (std::int64_t done = 0; done < kBytes && whole; done += kMiB) {
      whole = ::write(fd, chunk.data(), chunk.size()) == static_cast<ssize_t>(chunk.size());
    }
    whole = whole && ::fdatasync(fd) == 0;
    const int error = errno;
    ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    ::close(fd);
    if (!whole) {
      ::unlink(path_.c_str());
      fail(ErrorCode::kIo, "{}: cannot write 256 MiB to measure the disk: {}; use --cache-dir", path_,
           std::strerror(error));
    }
  }
  ~ScratchFile() { ::unlink(path_.c_str()); }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  const std::string& path() const { return path_; }
  static constexpr std::int64_t kBytes = 256 * kMiB;

 private:
  std::string path_;
};

// Reads of kReadBytes spread evenly over the file, kReadsInFlight at a time, as a streamed step reads it.
double disk_bytes_per_s(const DiskFile& file, IoEngine& engine, std::byte* buffer) {
  const std::int64_t n_reads = std::max<std::int64_t>(std::min(file.size_bytes, kMostDiskBytes) / kReadBytes, 1);
  const std::int64_t stride = std::max(align_down(file.size_bytes / n_reads, kDirectAlignment), kDirectAlignment);
  const double begin_s = now_s();
  std::int64_t started = 0, finished = 0, bytes = 0;
  while (finished < n_reads) {
    while (started < n_reads && started - finished < kReadsInFlight) {
      if (now_s() - begin_s > kMostDiskSeconds && started > kReadsInFlight) break;
      engine.submit({file.fd, started * stride, kReadBytes, buffer + started % (2 * kReadsInFlight) * kReadBytes, 0});
      ++started;
    }
    if (started == finished) break;
    engine.flush();
    ReadCompletion done;
    finished += engine.reap(std::span(&done, 1), true);
    if (done.result < 0) {
      fail(ErrorCode::kIo, "{}: reading for the profile failed: {}", file.path,
           std::strerror(static_cast<int>(-done.result)));
    }
    bytes += done.result;
  }
  return static_cast<double>(bytes) / (now_s() - begin_s);
}

double disk_latency_s(const DiskFile& file, IoEngine& engine, std::byte* buffer) {
  constexpr int kReads = 32;
  std::vector<double> times;
  for (int i = 0; i < kReads; ++i) {
    const double begin_s = now_s();
    engine.submit({file.fd, align_down(file.size_bytes / kReads * i, kDirectAlignment), kDirectAlignment, buffer, 0});
    engine.flush();
    ReadCompletion done;
    engine.reap(std::span(&done, 1), true);
    times.push_back(now_s() - begin_s);
  }
  std::nth_element(times.begin(), times.begin() + kReads / 2, times.end());
  return times[kReads / 2];
}

void measure_disk(const ProfileOptions& options, Profile& profile, std::byte* buffer) {
  std::unique_ptr<ScratchFile> scratch;
  std::string path = options.model_path;
  if (path.empty()) {
    scratch = std::make_unique<ScratchFile>(options.cache_dir);
    path = scratch->path();
  }
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    fail(ErrorCode::kIo, "{}: cannot read: {}", path, std::strerror(errno));
  }
  const DiskStore store({{path, status.st_size}});
  const DiskFile& file = store.file(FileId{0});
  std::string why;
  const auto engine = make_io_engine(2 * kReadsInFlight, &why);
  profile.disk_path = path;
  profile.disk_direct = file.direct;
  profile.disk_bytes_per_s = disk_bytes_per_s(file, *engine, buffer);
  profile.disk_latency_s = disk_latency_s(file, *engine, buffer);
}

}  // namespace

Profile measure_profile(const ProfileOptions& options, const std::function<void(double, const char*)>& progress) {
  const auto report = [&](double done, const char* what) {
    if (progress) progress(done, what);
  };
  const std::int64_t least = 2 * kReadsInFlight * kReadBytes;
  Arena arena(std::clamp(align_down(options.memory_bytes, kMiB), least, kMostBuffer));
  const std::span<std::byte> memory(arena.at(0), static_cast<std::size_t>(arena.size_bytes()));
  Profile profile;
  profile.cpu = cpu_model_name();
  profile.isa = isa_name(options.isa);
  profile.threads = options.threads;
  report(0.0, "disk");
  measure_disk(options, profile, memory.data());

  fill_weights(memory);
  Team team(options.threads);
  CpuProbe probe(cpu_op_table(options.isa), team, memory);
  report(0.3, "memory");
  profile.dram_bytes_per_s = probe.dram_bytes_per_s();
  profile.op_overhead_s = probe.op_overhead_s();
  constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kQ4_0, DType::kQ4_1, DType::kQ8_0};
  double done = 0.4;
  for (const DType type : kTypes) {
    report(done, "matmul");
    profile.int8[static_cast<std::size_t>(type)] = probe.mat_mul(type, true);
    profile.exact[static_cast<std::size_t>(type)] = probe.mat_mul(type, false);
    done += 0.09;
  }
  report(done, "attention");
  probe.attention(profile);
  report(1.0, "done");
  return profile;
}

}  // namespace windlass
