#include "pipeline/doctor.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "cpu_kernels/op_table.h"
#include "kernels/op_table.h"
#include "pipeline/engine.h"
#include "src/base/error.h"
#include "src/base/units.h"
#include "src/device/cuda_device.h"
#include "src/device/memlock.h"
#include "tiers/disk_store.h"
#include "tiers/io_engine.h"

namespace windlass {
namespace {

// Enough to register a staging ring with io_uring; Debian's own limit.
constexpr std::int64_t kUsualMemlockBytes = 8 * kMiB;
constexpr std::int64_t kLittleMemoryBytes = 256 * kMiB;

Finding examine_isa() {
  const Isa best = best_isa();
  const int nodes = cpu_share().nodes;
  const std::string on = nodes > 1 ? fmt::format(" on {} NUMA nodes", nodes) : std::string();
  Finding finding{"isa", Health::kGood,
                  fmt::format("{}, {} cores{} usable", isa_name(best), usable_cores(), on), ""};
  const Isa top = kAllIsas[std::size(kAllIsas) - 1];
  if (!isa_present(top)) {
    finding.health = Health::kLimited;
    finding.what += fmt::format("; {} lacks {}", isa_name(top), missing_features(top));
    finding.advice = "nothing: this is the CPU's; a newer one computes faster";
  }
  return finding;
}

std::string device_text(Device& device) {
  const DeviceInfo& info = device.info();
  const DeviceMemory memory = device.memory();
  const std::string link = info.pci.text();
  return fmt::format("{}, compute capability {}.{}, {} of {} free{}{}", info.name,
                     info.compute_major, info.compute_minor, format_size(memory.free_bytes),
                     format_size(memory.total_bytes), link.empty() ? "" : ", ", link);
}

Finding examine_gpu() {
  try {
    const auto opened = open_cuda_device({});
    if (const auto* none = std::get_if<NoDevice>(&opened)) {
      return {"gpu", Health::kLimited, fmt::format("none: {}", none->reason),
              fmt::format("everything works on the CPU; {}", none->advice)};
    }
    Finding finding{"gpu", Health::kGood, device_text(*std::get<std::unique_ptr<Device>>(opened)),
                    ""};
    if (const char* reason = no_gpu_reason()) {
      finding.health = Health::kLimited;
      finding.what += fmt::format("; not used: {}", reason);
      finding.advice = "nothing: everything works on the CPU";
    } else {
      finding.what += "; used where --vram asks for it";
    }
    return finding;
  } catch (const Error& error) {
    return {"gpu", Health::kBad, error.what(), "see the message"};
  }
}

Finding examine_memory() {
  const std::int64_t ram = auto_ram_bytes();
  Finding finding{"memory", Health::kGood, fmt::format("--ram auto is {}", format_size(ram)), ""};
  if (ram < kLittleMemoryBytes) {
    finding.health = Health::kLimited;
    finding.advice = "close other programs, or raise the memory limit of the cgroup";
  }
  return finding;
}

Finding examine_memlock() {
  const MemlockLimit limit = read_memlock_limit();
  if (!limit.limited) return {"memlock", Health::kGood, "unlimited", ""};
  Finding finding{"memlock", Health::kGood, format_size(limit.size_bytes), ""};
  if (limit.size_bytes < kUsualMemlockBytes) {
    finding.health = Health::kLimited;
    finding.advice =
        "reads work without registered buffers, a little dearer; raise it with ulimit -l";
  }
  return finding;
}

Finding examine_io_uring() {
  std::string why;
  if (make_io_uring_engine(8, &why)) return {"io_uring", Health::kGood, "the kernel allows it", ""};
  return {
      "io_uring", Health::kLimited,
      fmt::format("not allowed ({}); a few reading threads stand in", why),
      "allow the io_uring system calls (container seccomp profile, kernel.io_uring_disabled=0)"};
}

Finding examine_direct_io(const DiskFile& file, const std::string& shown_path) {
  const std::string name = "direct_io";
  if (file.direct) return {name, Health::kGood, fmt::format("{}: works", shown_path), ""};
  return {name, Health::kLimited, fmt::format("{}: {}", shown_path, file.buffered_reason),
          "put the model on a file system with direct I/O (ext4, xfs): buffered reads pass through "
          "the page cache"};
}

// A file of two pages while it lives.
class ScratchFile {
 public:
  explicit ScratchFile(const std::string& dir)
      : path_(fmt::format("{}/doctor-{}.tmp", dir, ::getpid())) {
    std::error_code error;
    std::filesystem::create_directories(dir, error);
    std::ofstream(path_, std::ios::binary) << std::string(kBytes, '\0');
    if (std::filesystem::file_size(path_, error) != kBytes) {
      fail(ErrorCode::kIo, "cannot write {}; choose another place with --cache-dir", path_);
    }
  }
  ~ScratchFile() { ::unlink(path_.c_str()); }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  ModelFile file() const { return {path_, kBytes}; }

 private:
  static constexpr std::int64_t kBytes = 8192;
  std::string path_;
};

void add_direct_io(const std::vector<ModelFile>& files, const std::string& scratch_dir,
                   std::vector<Finding>& findings) {
  try {
    if (files.empty()) {
      const ScratchFile scratch(scratch_dir);
      findings.push_back(
          examine_direct_io(DiskStore({scratch.file()}).files().front(), scratch_dir));
      return;
    }
    const DiskStore store(files);
    for (const DiskFile& file : store.files())
      findings.push_back(examine_direct_io(file, file.path));
  } catch (const Error& error) {
    findings.push_back({"direct_io", Health::kBad, error.what(), "see the message"});
  }
}

}  // namespace

const char* health_name(Health health) {
  switch (health) {
    case Health::kGood:
      return "good";
    case Health::kLimited:
      return "limited";
    case Health::kBad:
      return "bad";
  }
  return "";
}

const char* no_gpu_reason() {
  return gpu_op_table() == nullptr ? "this build has no CUDA kernels" : nullptr;
}

std::vector<Finding> examine_machine(const std::vector<ModelFile>& files,
                                     const std::string& scratch_dir) {
  std::vector<Finding> findings = {examine_isa(), examine_gpu(), examine_memory(),
                                   examine_memlock(), examine_io_uring()};
  add_direct_io(files, scratch_dir, findings);
  return findings;
}

}  // namespace windlass
