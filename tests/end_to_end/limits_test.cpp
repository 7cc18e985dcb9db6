// Systems that grant little: few threads, little address space, a small stack. A run is then done
// with less, or refused in one line; it never hangs or crashes.
#include <algorithm>

#include "tests/end_to_end/program.h"
#include "tests/support/catch.h"
#include "tests/support/process_limits.h"

namespace windlass::test {
namespace {

// So many threads as may be asked for here, to be refused some.
#ifdef WINDLASS_MANY_CPUS
const std::string kManyCpus = "export LD_PRELOAD=" WINDLASS_MANY_CPUS "; ";
const std::string kThreads = "32";
#else
const std::string kManyCpus;
const std::string kThreads = "1";
#endif

struct Limited {
  Limited() { write_ids(folder / "ids.json", {1, 2, 3}); }
  // A shell sets the limit and becomes the program.
  ProcessResult run(const std::string& limit) const {
    return run_process({"/bin/sh", "-c", kManyCpus + limit + "; exec \"$0\" \"$@\"",
                        WINDLASS_BINARY, "run", "-m", golden_model("llama"), "--raw", "--ids",
                        folder / "ids.json", "-n", "8", "--ram", "64MiB", "--json", "-t", kThreads,
                        "--profile", golden("machine_profile.json")});
  }
  Folder folder;
};

// What the run gave, or nothing where it was refused in one line.
nlohmann::json answer(const ProcessResult& result) {
  INFO(result.err << result.out);
  REQUIRE_FALSE(result.timed_out);
  REQUIRE(result.signal == 0);
  const auto json = nlohmann::json::parse(result.out, nullptr, false);
  REQUIRE(json.is_object());
  if (result.exit_status == 0) return json;
  CHECK(result.err.starts_with("windlass: error: "));
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
  return {};
}

TEST_CASE("with room for few threads a run takes fewer, says so, and gives the same tokens") {
  if (!kAddressSpaceCanBeLimited || kManyCpus.empty()) return;
  const Limited limited;
  const nlohmann::json all = answer(limited.run("true"));
  CHECK(all["receipt"]["threads"] == 32);
  CHECK(all["receipt"]["notes"].dump().find("threads of the") == std::string::npos);
  const nlohmann::json few = answer(limited.run("ulimit -v 800000"));
  CHECK(few["receipt"]["threads"].get<int>() < 32);
  CHECK_THAT(few["receipt"]["notes"].dump(), Contains("threads of the 32 wanted"));
  CHECK(few["ids"] == all["ids"]);
}

TEST_CASE("whatever the address space, a run ends well or with one line") {
  if (!kAddressSpaceCanBeLimited) return;
  const Limited limited;
  for (const int mib : {80, 100, 120, 150, 200, 300, 500}) {
    INFO(mib << " MiB");
    answer(limited.run("ulimit -v " + std::to_string(mib * 1024)));
  }
}

TEST_CASE("a stack of 64 KiB is raised, or refused with what to do") {
  const Limited limited;
  const ProcessResult result = limited.run("ulimit -s 64");
  if (answer(result).is_null()) CHECK_THAT(result.err, Contains("ulimit -s"));
  answer(limited.run("ulimit -S -s 64"));  // the hard limit stays
}

}  // namespace
}  // namespace windlass::test
