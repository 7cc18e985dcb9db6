// Processes that may use a part of the machine's CPUs: by affinity, and by a cgroup's quota.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "cpu_kernels/op_table.h"
#include "tests/end_to_end/program.h"
#include "tests/support/catch.h"

namespace windlass::test {
namespace {

namespace fs = std::filesystem;

bool write_line(const fs::path& path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  return file.good();
}

// A cgroup below this process's own with half a CPU's time, removed at the end.
class HalfCpuGroup {
 public:
  HalfCpuGroup() {
    std::ifstream groups("/proc/self/cgroup");
    for (std::string line; std::getline(groups, line) && folder_.empty();) {
      const std::size_t first = line.find(':'), second = line.find(':', first + 1);
      const std::string controllers = line.substr(first + 1, second - first - 1);
      const std::string path = line.substr(second + 1);
      if (controllers == "cpu" || controllers == "cpu,cpuacct") {
        make("/sys/fs/cgroup/" + controllers + path, "cpu.cfs_quota_us", "50000");
      } else if (controllers.empty()) {
        write_line("/sys/fs/cgroup" + path + "/cgroup.subtree_control", "+cpu");
        make("/sys/fs/cgroup" + path, "cpu.max", "50000 100000");
      }
    }
  }
  ~HalfCpuGroup() {
    if (!folder_.empty()) rmdir(folder_.c_str());
  }
  HalfCpuGroup(const HalfCpuGroup&) = delete;
  HalfCpuGroup& operator=(const HalfCpuGroup&) = delete;

  std::string folder() const { return folder_.string(); }  // empty: none could be made
  std::string why_not() const { return why_not_; }

 private:
  void make(const fs::path& parent, const std::string& file, const std::string& quota) {
    const fs::path folder = parent / ("windlass-test-" + std::to_string(getpid()));
    if (mkdir_of(folder) && write_line(folder / file, quota)) {
      folder_ = folder;
      return;
    }
    why_not_ +=
        (why_not_.empty() ? "" : "; ") + (folder / file).string() + ": " + std::strerror(errno);
    rmdir(folder.c_str());
  }
  static bool mkdir_of(const fs::path& folder) {
    std::error_code error;
    const bool made = fs::create_directory(folder, error);
    if (error) errno = error.value();
    return made;
  }

  fs::path folder_;
  std::string why_not_ = "";
};

// A shell does `before` and becomes the program.
ProcessResult run_after(const std::string& before, const std::string& threads) {
  const Folder folder;
  write_ids(folder / "ids.json", {1, 2, 3});
  return run_process({"/bin/sh", "-c", before + " && exec \"$0\" \"$@\"", WINDLASS_BINARY, "run",
                      "-m", golden_model("llama"), "--raw", "--ids", folder / "ids.json", "-n", "1",
                      "--ram", "64MiB", "--json", "-t", threads, "--profile",
                      golden("machine_profile.json")});
}

}  // namespace

TEST_CASE("-t above the CPUs of the affinity mask lists these") {
  const std::string cpu = std::to_string(cpu_share().cpus.back());
  const std::string bind = "taskset -p -c " + cpu + " $$ >/dev/null";
  const ProcessResult many = run_after(bind, "2");
  INFO(many.err);
  CHECK(many.exit_status == 2);
  CHECK_THAT(many.err, Contains("-t 2: this process may run on 1 hardware thread (CPU " + cpu +
                                "; 1 core); use -t 1 at most, or -t 0 for 1"));
  const ProcessResult chosen = run_after(bind, "0");
  INFO(chosen.err);
  REQUIRE(chosen.exit_status == 0);
  CHECK(nlohmann::json::parse(chosen.out)["receipt"]["threads"] == 1);
}

TEST_CASE("-t above a cgroup's quota is a warning that names both, and -t 0 keeps to it") {
  const HalfCpuGroup group;
  if (group.folder().empty()) {
    std::printf("skipped: no cgroup with a CPU quota can be made (%s)\n", group.why_not().c_str());
    return;
  }
  const std::string enter = "echo $$ > " + group.folder() + "/cgroup.procs";
  const ProcessResult chosen = run_after(enter, "0");
  INFO(chosen.err);
  REQUIRE(chosen.exit_status == 0);
  CHECK(chosen.err.find("quota") == std::string::npos);
  CHECK(nlohmann::json::parse(chosen.out)["receipt"]["threads"] == 1);
  if (two_threads() != "2") {
    std::printf("skipped: -t 2 needs two CPUs\n");
    return;
  }
  const ProcessResult many = run_after(enter, "2");
  INFO(many.err);
  REQUIRE(many.exit_status == 0);
  CHECK(
      many.err.starts_with("windlass: warning: -t 2 is above the quota of 0.5 CPUs of the cgroup " +
                           group.folder() + ": "));
  CHECK_THAT(many.err, Contains("-t 0 takes 1\n"));
  CHECK(nlohmann::json::parse(many.out)["receipt"]["threads"] == 2);
}

}  // namespace windlass::test
