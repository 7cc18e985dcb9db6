// What the doctor finds on machines that lack something: each limit is put on a child process.
#include "pipeline/doctor.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <filesystem>

#include "src/base/units.h"
#include "src/device/cuda_device.h"
#include "tests/support/catch.h"
#include "tests/support/child_process.h"
#include "tests/support/temp_file.h"
#include "tests/support/tiny_model.h"

namespace windlass {
namespace {

const Finding& finding(const std::vector<Finding>& findings, const std::string& name) {
  for (const Finding& one : findings) {
    if (one.name == name) return one;
  }
  FAIL("no finding " << name);
  return findings.front();
}

// "name: health: what: advice" of every finding, from a child that `limit` was put on.
std::string findings_under(const std::function<bool()>& limit) {
  const testing::TempDir folder;
  const ChildResult child = run_in_child([&] {
    if (!limit()) return 1;
    for (const Finding& one : examine_machine({}, folder.file("scratch"))) {
      std::fprintf(stderr, "%s: %s: %s: %s\n", one.name.c_str(), health_name(one.health),
                   one.what.c_str(), one.advice.c_str());
    }
    return 0;
  });
  INFO(child.output);
  REQUIRE(child.exit_status == 0);
  return child.output;
}

// From here on this system call fails as it does where the kernel forbids it.
bool forbid_system_call(int number) {
  std::array<sock_filter, 4> filter = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

TEST_CASE("the doctor looks at each part once, and says what to do where one is not good") {
  const testing::TempDir folder;
  const std::vector<Finding> findings = examine_machine({}, folder.file("scratch"));
  std::vector<std::string> names;
  for (const Finding& one : findings) {
    names.push_back(one.name);
    CHECK_FALSE(one.what.empty());
    CHECK(one.advice.empty() == (one.health == Health::kGood));
  }
  CHECK(names ==
        std::vector<std::string>{"isa", "gpu", "memory", "memlock", "io_uring", "direct_io"});
}

TEST_CASE("the doctor names the GPU or says why there is none, and whether it is used") {
  const testing::TempDir folder;
  const std::vector<Finding> findings = examine_machine({}, folder.file("scratch"));
  const Finding& gpu = finding(findings, "gpu");
  const auto opened = open_cuda_device({});
  if (const auto* none = std::get_if<NoDevice>(&opened)) {
    CHECK(gpu.health == Health::kLimited);
    CHECK(gpu.what == "none: " + none->reason);
    CHECK_THAT(gpu.advice, Contains("works on the CPU") && Contains(none->advice));
    return;
  }
  const DeviceInfo& info = std::get<std::unique_ptr<Device>>(opened)->info();
  CHECK_THAT(gpu.what, StartsWith(info.name) && Contains(" free"));
  CHECK((gpu.health != Health::kGood || no_gpu_reason() == nullptr));
}

TEST_CASE("the doctor's scratch file is gone when it is done") {
  const testing::TempDir folder;
  examine_machine({}, folder.file("scratch"));
  CHECK(std::filesystem::is_empty(folder.file("scratch")));
}

TEST_CASE("the doctor examines the file system of each file, and a file that is gone is bad") {
  const TempFile here(20'000);
  const ModelFile gone{here.path() + ".gone", 4096};
  const std::vector<Finding> good = examine_machine({here.as_model_file()}, "/");
  CHECK(good.size() == 6);
  CHECK_THAT(finding(good, "direct_io").what, Contains(here.path()));
  const std::vector<Finding> bad = examine_machine({gone}, "/");
  CHECK(finding(bad, "direct_io").health == Health::kBad);
  CHECK_THAT(finding(bad, "direct_io").what, Contains(gone.path));
}

TEST_CASE("a folder that cannot be written is a finding, not the end of the examination") {
  const TempFile file(10);
  const std::vector<Finding> findings = examine_machine({}, file.path() + "/below-a-file");
  CHECK(findings.size() == 6);
  CHECK(finding(findings, "direct_io").health == Health::kBad);
  CHECK_THAT(finding(findings, "direct_io").what, Contains("--cache-dir"));
}

TEST_CASE("a low memlock limit is found with its size, a usual one is good") {
  const auto with_limit = [](std::int64_t bytes) {
    return findings_under([bytes] {
      const auto limit = static_cast<rlim_t>(bytes);
      const rlimit both{limit, limit};
      return setrlimit(RLIMIT_MEMLOCK, &both) == 0;
    });
  };
  const std::string low = with_limit(64 * kKiB);
  CHECK_THAT(low, Contains("memlock: limited: 64.0 KiB") && Contains("ulimit -l"));
  CHECK_THAT(with_limit(8 * kMiB), Contains("memlock: good: 8.0 MiB"));
}

TEST_CASE("where io_uring is forbidden the doctor says so and what stands in") {
  const std::string text = findings_under([] { return forbid_system_call(SYS_io_uring_setup); });
  CHECK_THAT(text, Contains("io_uring: limited: ") && Contains("forbidden") &&
                       Contains("reading threads stand in") && Contains("seccomp"));
}

}  // namespace
}  // namespace windlass
