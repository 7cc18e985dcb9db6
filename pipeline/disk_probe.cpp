#include "pipeline/disk_probe.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "src/base/check.h"
#include "src/base/clock.h"
#include "src/base/error.h"
#include "src/base/units.h"
#include "tiers/block.h"
#include "tiers/disk_store.h"
#include "tiers/io_engine.h"

namespace windlass {
namespace {

constexpr std::int64_t kReadBytes = kMiB;
constexpr int kReadsInFlight = kDiskProbeBytes / kReadBytes;
constexpr std::int64_t kMostDiskBytes = 512 * kMiB;
constexpr double kMostPassSeconds = 1.0;
constexpr int kPasses = 4;  // counted ones

// A file of our own to read when no model is named; removed at once, alive through its descriptor's
// path.
class ScratchFile {
 public:
  explicit ScratchFile(const std::string& folder) : path_(folder + "/profile-scratch.bin") {
    const int fd = ::open(path_.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
      fail(ErrorCode::kIo, "{}: cannot write a scratch file: {}; use --cache-dir", path_,
           std::strerror(errno));
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
      fail(ErrorCode::kIo, "{}: cannot write 256 MiB to measure the disk: {}; use --cache-dir",
           path_, std::strerror(error));
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

// Reads one file with the run's engine. Owner of no memory.
class DiskProbe {
 public:
  DiskProbe(const DiskFile& file, IoEngine& engine, Team& team, std::byte* buffer)
      : file_(file), engine_(engine), team_(team), buffer_(buffer) {}

  // Reads of kReadBytes spread evenly over the file, kReadsInFlight at a time, as a streamed step
  // reads it; again and again over the same bytes, because each step reads what the last one read:
  // what caches the disk or its host have are as warm as in a run.
  double bytes_per_s() {
    const std::int64_t n_reads =
        std::max<std::int64_t>(std::min(file_.size_bytes, kMostDiskBytes) / kReadBytes, 1);
    const Pass cold = read_spread(n_reads, n_reads, kMostPassSeconds);
    // The first warm pass still warms; the others are averaged, because rates drift within seconds.
    read_spread(n_reads, cold.reads, kPasses * kMostPassSeconds);
    Pass warm;
    for (int pass = 0; pass < kPasses; ++pass) {
      const Pass one = read_spread(n_reads, cold.reads, kPasses * kMostPassSeconds);
      warm.bytes += one.bytes;
      warm.seconds += one.seconds;
    }
    return static_cast<double>(warm.bytes) / warm.seconds;
  }

  // Median seconds of a read of size_bytes with nothing else in flight.
  double alone_s(std::int64_t size_bytes) {
    constexpr int kReads = 25;
    std::vector<double> times;
    for (int i = 0; i < kReads; ++i) {
      const double begin_s = now_s();
      start(align_down(file_.size_bytes / kReads * i, kDirectAlignment), size_bytes, 0);
      finish();
      times.push_back(now_s() - begin_s);
    }
    std::nth_element(times.begin(), times.begin() + kReads / 2, times.end());
    return times[kReads / 2];
  }

 private:
  struct Pass {
    std::int64_t reads = 0, bytes = 0;
    double seconds = 0;
  };

  // The first `most_reads` of n_reads evenly spread ones, ended early after most_s.
  Pass read_spread(std::int64_t n_reads, std::int64_t most_reads, double most_s) {
    const std::int64_t stride =
        std::max(align_down(file_.size_bytes / n_reads, kDirectAlignment), kDirectAlignment);
    const double begin_s = now_s();
    Pass pass;
    std::int64_t started = 0;
    for (; started < std::min<std::int64_t>(most_reads, kReadsInFlight); ++started) {
      start(started * stride, kReadBytes, started);
    }
    while (pass.reads < started) {
      const ReadCompletion done = finish();
      pass.bytes += done.result;
      ++pass.reads;
      read_through(team_, {buffer_ + static_cast<std::int64_t>(done.user) * kReadBytes,
                           static_cast<std::size_t>(done.result)});
      if (started == most_reads || now_s() - begin_s > most_s) continue;
      start(started * stride, kReadBytes, static_cast<std::int64_t>(done.user));
      ++started;
    }
    pass.seconds = now_s() - begin_s;
    return pass;
  }

  void start(std::int64_t offset_bytes, std::int64_t size_bytes, std::int64_t place) {
    engine_.submit({file_.fd, offset_bytes, size_bytes, buffer_ + place * kReadBytes,
                    static_cast<std::uint64_t>(place)});
    engine_.flush();
  }
  ReadCompletion finish() {
    ReadCompletion done;
    engine_.reap(std::span(&done, 1), true);
    if (done.result < 0) {
      fail(ErrorCode::kIo, "{}: reading for the profile failed: {}", file_.path,
           std::strerror(static_cast<int>(-done.result)));
    }
    return done;
  }

  const DiskFile& file_;
  IoEngine& engine_;
  Team& team_;
  std::byte* buffer_;
};

struct ReadArgs {
  const std::byte* bytes;
  std::atomic<bool>* seen;
};

constexpr std::int64_t kLineBytes = 64;
constexpr std::int64_t kGrainLines = 16 * 260;  // walks 260 lines apart are in lines of their own

// Sixteen walks side by side, as the products of one token read weights: a core that reads one
// stream has no more than its prefetcher's lines on the way (20 instead of 27 GB/s on two cores).
void read_grain(const ReadArgs& args, WorkRange lines) {
  constexpr std::int64_t kWalks = 16, kAhead = 4, kWords = kLineBytes / 8;
  std::uint64_t sums[kWords] = {};
  const auto read = [&](std::int64_t line) {
    __builtin_prefetch(args.bytes + (line + kAhead) * kLineBytes);
    for (std::int64_t i = 0; i < kWords; ++i) {
      std::uint64_t word;
      std::memcpy(&word, args.bytes + line * kLineBytes + i * 8, sizeof word);
      sums[i] += word;
    }
  };
  const std::int64_t walk = (lines.end - lines.begin) / kWalks;
  for (std::int64_t i = 0; i < walk; ++i) {
    for (std::int64_t w = 0; w < kWalks; ++w) read(lines.begin + w * walk + i);
  }
  for (std::int64_t line = lines.begin + kWalks * walk; line < lines.end; ++line) read(line);
  std::uint64_t sum = 0;
  for (const std::uint64_t part : sums) sum += part;
  if (sum == 42) args.seen->store(true);  // keeps the reads alive
}

void read_lines(const ReadArgs& args, WorkRange lines) {
  for (std::int64_t begin = lines.begin; begin < lines.end; begin += kGrainLines) {
    read_grain(args, {begin, std::min(begin + kGrainLines, lines.end)});
  }
}

}  // namespace

void read_through(Team& team, std::span<const std::byte> bytes) {
  std::atomic<bool> seen{false};
  team.run(&read_lines, ReadArgs{bytes.data(), &seen},
           static_cast<std::int64_t>(bytes.size()) / kLineBytes, kGrainLines);
}

void measure_disk(const ProfileOptions& options, Profile& profile, Team& team,
                  std::span<std::byte> buffer) {
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
  WINDLASS_CHECK(buffer.size() >= kDiskProbeBytes, buffer.size());
  const DiskStore store({{path, status.st_size}});
  const DiskFile& file = store.file(FileId{0});
  std::string why;
  const auto engine = make_io_engine(kReadsInFlight, &why);
  profile.disk_path = path;
  profile.disk_direct = file.direct;
  // As a run's ring is; where it is refused, the run does without as well.
  engine->register_memory(buffer, &why);
  DiskProbe probe(file, *engine, team, buffer.data());
  profile.disk_bytes_per_s = probe.bytes_per_s();
  const double share_s = static_cast<double>(kReadBytes) / profile.disk_bytes_per_s;
  profile.disk_small_read_s = probe.alone_s(kDirectAlignment);
  profile.disk_latency_s =
      std::max(probe.alone_s(kReadBytes) - share_s, profile.disk_small_read_s / 2);
}

}  // namespace windlass
