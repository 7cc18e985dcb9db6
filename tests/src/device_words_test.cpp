// What is said of a device's slot and of the limit on locked memory.
#include <sys/resource.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "src/base/units.h"
#include "src/device/memlock.h"
#include "src/device/pci_link.h"
#include "tests/support/catch.h"
#include "tests/support/child_process.h"
#include "tests/support/tiny_model.h"

namespace windlass {
namespace {

// A slot as Linux shows it; a file for each text that is not empty.
PciLink link_of(const std::string& speed, const std::string& width, const std::string& node) {
  const testing::TempDir sysfs;
  const std::string folder = sysfs.file("bus/pci/devices/0000:c1:00.0");
  std::filesystem::create_directories(folder);
  const auto write = [&](const std::string& name, const std::string& text) {
    if (!text.empty()) std::ofstream(folder + "/" + name) << text << "\n";
  };
  write("max_link_speed", speed);
  write("current_link_width", width);
  write("numa_node", node);
  return read_pci_link("0000:C1:00.0", sysfs.file(""));
}

TEST_CASE("a slot's generation, lanes and node are read, and its rate follows") {
  const PciLink link = link_of("16.0 GT/s PCIe", "16", "1");
  CHECK(link.bus_id == "0000:c1:00.0");
  CHECK(link.numa_node == 1);
  CHECK(link.lanes == 16);
  // 16 GT/s, 128 bits of data in 130, 16 lanes, 8 bits a byte.
  CHECK(link.bytes_per_s() == Approx(16e9 * 128 / 130 * 16 / 8));
  CHECK(link.text() == "PCIe 4.0 x16, 31.5 GB/s");
  CHECK(link_of("2.5 GT/s", "4", "").text() == "PCIe 1.0 x4, 1.0 GB/s");
  CHECK(link_of("32.0 GT/s PCIe", "8", "0").text() == "PCIe 5.0 x8, 31.5 GB/s");
}

TEST_CASE("what a machine hides of a slot stays unknown") {
  const PciLink hidden = link_of("", "", "");
  CHECK(hidden.numa_node == -1);
  CHECK(hidden.bytes_per_s() == 0);
  CHECK(hidden.text().empty());
  CHECK(link_of("Unknown", "63", "-1").text().empty());
  CHECK(link_of("16.0 GT/s PCIe", "0", "-1").text().empty());
  CHECK(link_of("17.0 GT/s PCIe", "16", "-1").text().empty());
  CHECK(read_pci_link("", "/nowhere").text().empty());
}

TEST_CASE("under a low memlock the refusal names the limit and the lines that raise it") {
  const ChildResult child = run_in_child([] {
    const rlimit low{64 << 10, 64 << 10};
    if (setrlimit(RLIMIT_MEMLOCK, &low) != 0) return 1;
    const MemlockLimit limit = read_memlock_limit();
    std::fputs(pinning_refused("NVIDIA X", 256 * kMiB, "out of memory", limit).c_str(), stderr);
    return limit.limited && limit.size_bytes == 64 * kKiB ? 0 : 2;
  });
  REQUIRE(child.exit_status == 0);
  CHECK(
      child.output ==
      "the system refuses to pin 256.0 MiB of memory for NVIDIA X (out of memory): this process "
      "may lock 64.0 KiB; raise that with `ulimit -l 262144`, for good with the line `* - memlock "
      "262144` in /etc/security/limits.conf, or ask for less (--ram)");
}

TEST_CASE("where memlock is not the reason, nobody is sent to raise it") {
  for (const MemlockLimit& limit : {MemlockLimit{}, MemlockLimit{true, 8 * kMiB}}) {
    const std::string text = pinning_refused("NVIDIA X", 8 * kMiB, "out of memory", limit);
    CHECK(text.find("ulimit") == std::string::npos);
    CHECK_THAT(text, Contains("8.0 MiB") && Contains("ask for less"));
  }
}

}  // namespace
}  // namespace windlass
