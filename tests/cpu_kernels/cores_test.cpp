// What of the machine is this process's: CPUs, the cores that they share, and how they are written.
#include "cpu_kernels/cores.h"

#include <cmath>
#include <filesystem>
#include <fstream>

#include "tests/support/catch.h"
#include "tests/support/tiny_model.h"

namespace windlass::test {
namespace {

// A folder as /sys/devices/system/cpu.
class CpuFolder {
 public:
  void add(int cpu, const std::string& siblings) {
    const std::string folder = path() + "/cpu" + std::to_string(cpu) + "/topology";
    std::filesystem::create_directories(folder);
    std::ofstream(folder + "/thread_siblings_list") << siblings << '\n';
  }
  std::string path() const { return folder_.file("cpu"); }

 private:
  testing::TempDir folder_;
};

}  // namespace

TEST_CASE("hardware threads of one core count once, and only those of the mask count") {
  CpuFolder folder;
  for (int cpu = 0; cpu < 4; ++cpu) {
    const std::string pair = std::to_string(cpu) + ',' + std::to_string(cpu + 4);
    folder.add(cpu, pair);
    folder.add(cpu + 4, pair);
  }
  CHECK(count_cores({0, 1, 2, 3, 4, 5, 6, 7}, folder.path()) == 4);
  CHECK(count_cores({0, 4}, folder.path()) == 1);
  CHECK(count_cores({0, 1, 5}, folder.path()) == 2);
  CHECK(count_cores({6}, folder.path()) == 1);
}

TEST_CASE("where siblings are next to each other, and where nothing is said of them") {
  CpuFolder folder;
  folder.add(0, "0-1");
  folder.add(1, "0-1");
  folder.add(2, "2-3");
  CHECK(count_cores({0, 1, 2}, folder.path()) == 2);
  CHECK(count_cores({0, 1, 2, 8, 9}, folder.path()) == 4);  // 8 and 9: each its own
  CHECK(count_cores({3, 4}, "/nowhere") == 2);
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
  CHECK(share.quota > 0);
  CHECK(usable_cores() >= 1);
  CHECK(usable_cores() <= share.cores);
  CHECK(usable_cores() <= std::max(1.0, std::ceil(share.quota)));
}

}  // namespace windlass::test
