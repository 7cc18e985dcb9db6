// What of the machine is this process's: CPUs, how they are written, and the quotas of its cgroups.
#include "cpu_kernels/cores.h"

#include <cmath>
#include <filesystem>
#include <fstream>

#include "tests/support/catch.h"
#include "tests/support/tiny_model.h"

namespace windlass::test {
namespace {

// A folder as /sys/fs/cgroup.
class GroupFolder {
 public:
  void write(const std::string& file, const std::string& text) {
    const std::filesystem::path at = path() + "/" + file;
    std::filesystem::create_directories(at.parent_path());
    std::ofstream(at) << text << '\n';
  }
  std::string path() const { return folder_.file("cgroup"); }

 private:
  testing::TempDir folder_;
};

}  // namespace

TEST_CASE("without a quota all CPUs' time is granted") {
  GroupFolder folder;
  CHECK(std::isinf(cpu_quota(folder.path(), "").cpus));
  folder.write("a/cpu.max", "max 100000");
  folder.write("cpu/b/cpu.cfs_quota_us", "-1");
  folder.write("cpu/b/cpu.cfs_period_us", "100000");
  const CpuQuota quota = cpu_quota(folder.path(), "4:cpu:/b\n0::/a\n");
  CHECK(std::isinf(quota.cpus));
  CHECK(quota.group.empty());
}

TEST_CASE("of a v2 group and those around it the least quota counts, by its name") {
  GroupFolder folder;
  folder.write("cpu.max", "800000 100000");
  folder.write("a/cpu.max", "150000 100000");
  folder.write("a/b/cpu.max", "400000 100000");
  const CpuQuota inner = cpu_quota(folder.path(), "0::/a/b\n");
  CHECK(inner.cpus == 1.5);
  CHECK(inner.group == folder.path() + "/a");
  const CpuQuota top = cpu_quota(folder.path(), "0::/\n");
  CHECK(top.cpus == 8);
  CHECK(top.group == folder.path());
  CHECK(cpu_quota(folder.path(), "0::/elsewhere\n").cpus == 8);
}

TEST_CASE("quotas of v1 are where its cpu hierarchy is mounted, alone or with others") {
  GroupFolder folder;
  folder.write("cpu,cpuacct/a/cpu.cfs_quota_us", "50000");
  folder.write("cpu,cpuacct/a/cpu.cfs_period_us", "100000");
  CHECK(cpu_quota(folder.path(), "3:cpuset:/a\n4:cpu,cpuacct:/a\n").cpus == 0.5);
  CHECK(std::isinf(cpu_quota(folder.path(), "4:cpuacct:/a\n").cpus));
  folder.write("cpu/a/cpu.cfs_quota_us", "25000");
  folder.write("cpu/a/cpu.cfs_period_us", "100000");
  CHECK(cpu_quota(folder.path(), "4:cpu:/a\n").cpus == 0.25);
  // Beside v1, v2 is mounted below it.
  folder.write("unified/c/cpu.max", "20000 100000");
  CHECK(cpu_quota(folder.path(), "4:cpu:/a\n0::/c\n").cpus == 0.2);
}

TEST_CASE("lists of CPUs are written as the kernel writes them") {
  CHECK(cpu_list({0}) == "0");
  CHECK(cpu_list({0, 1, 2, 3}) == "0-3");
  CHECK(cpu_list({0, 2, 3, 9, 10, 12}) == "0,2-3,9-10,12");
}

TEST_CASE("this process has at least one CPU, and takes a thread for each core at most") {
  const CpuShare share = cpu_share();
  REQUIRE_FALSE(share.cpus.empty());
  CHECK(share.cores >= 1);
  CHECK(share.cores <= std::ssize(share.cpus));
  CHECK(share.nodes >= 1);
  CHECK(share.quota > 0);
  CHECK(share.quota_group.empty() == std::isinf(share.quota));
  CHECK(usable_cores() >= 1);
  CHECK(usable_cores() <= share.cores);
  CHECK(usable_cores() <= std::max(1.0, std::ceil(share.quota)));
}

}  // namespace windlass::test
