// Placement never changes the answer: a synthetic model under many budgets, threads and schedules.
#include <cmath>

#include "tests/end_to_end/program.h"
#include "tests/support/catch.h"

namespace windlass::test {
namespace {

// 6 layers of about 1.2 MB, so that small budgets stream most of it.
void write_synthetic(const std::string& path, const std::string& type) {
  windlass_json({"synth",   path,      "--layers", "6",          "--embd", "256",        "--ffn",
                 "1024",    "--heads", "8",        "--kv-heads", "2",      "--head-dim", "32",
                 "--vocab", "2048",    "--type",   type,         "--seed", "7"});
}

std::vector<std::int32_t> some_ids(int n) {
  std::vector<std::int32_t> ids;
  for (int i = 0; i < n; ++i) ids.push_back((i * 797 + 13) % 2048);
  return ids;
}

std::int64_t least_ram(const std::string& model, const std::string& context) {
  return windlass_json({"plan", "-m", model, "-c", context, "-ub", "16"})["min_ram_bytes"]
      .get<std::int64_t>();
}

TEST_CASE("logits are bit-identical for every budget, thread count and schedule") {
  const Folder folder;
  write_ids(folder / "ids.json", some_ids(150));
  for (const std::string type : {"q4_0", "q4_1", "q8_0", "f16", "bf16", "f32"}) {
    const std::string model = folder / (type + ".gguf");
    write_synthetic(model, type);
    const std::string reference = logits_bytes(model, folder / "ids.json", {});
    for (const float logit : as_floats(reference)) {
      if (!std::isfinite(logit)) FAIL("a synthetic model gives finite logits");
    }
    const std::string file_size = std::to_string(std::filesystem::file_size(model)) + "B";
    INFO(type << ", " << file_size);
    for (const Arguments& flags : std::vector<Arguments>{{"--ram", "12MiB"},
                                                         {"--ram", "16MiB"},
                                                         {"--ram", "12MiB", "--no-overlap"},
                                                         {"-t", "1"},
                                                         {"--ram", "16MiB", "-t", two_threads()}}) {
      INFO(nlohmann::json(flags).dump());
      CHECK(logits_bytes(model, folder / "ids.json", flags) == reference);
    }
  }
}

TEST_CASE("plan predicts what the receipt of the same run predicts") {
  const Folder folder;
  const std::string model = folder / "model.gguf";
  write_synthetic(model, "q4_0");
  write_ids(folder / "ids.json", some_ids(20));
  const std::int64_t least = least_ram(model, "64");
  for (const std::int64_t more : {1, 2, 3, 4}) {
    const std::string ram = std::to_string(least + more * 700000) + "B";
    INFO("--ram " << ram);
    // Nine steps after the prompt, at depths 20 to 28.
    const auto run = windlass_json({"run", "-m", model, "--raw", "--ids", folder / "ids.json", "-n",
                                    "10", "-c", "64", "--ram", ram, "--ignore-eos"});
    const auto& decode = run["receipt"]["decode"];
    REQUIRE(decode["steps"] == 9);
    const auto plan =
        windlass_json({"plan", "-m", model, "-c", "64", "--ram", ram, "-ub", "20", "-d", "24"});
    CHECK(plan["micro_batch_tokens"] == 20);
    CHECK(plan["predicted_s_per_step"].get<double>() ==
          Approx(decode["predicted_s_per_step"].get<double>()).epsilon(1e-9));
    CHECK(plan["bound_s_per_step"].get<double>() ==
          Approx(decode["bound_s_per_step"].get<double>()).epsilon(1e-9));
  }
  const auto longer = windlass_json({"plan", "-m", model, "-c", "64", "--ram", "64MiB"});
  CHECK(longer["micro_batch_tokens"] == 64);
  CHECK_THAT(longer["assumes"].get<std::string>(), Contains("prompt of 64 tokens or more"));
}

TEST_CASE("the least budget that plan names works, and less is refused with that number") {
  const Folder folder;
  const std::string model = folder / "model.gguf";
  write_synthetic(model, "q4_0");
  write_ids(folder / "ids.json", some_ids(20));
  const std::int64_t least = least_ram(model, "64");
  const Arguments run = {"run",    "-m", model, "--raw", "--ids", folder / "ids.json",
                         "-n",     "8",  "-c",  "64",    "-ub",   "16",
                         "--temp", "0"};
  Arguments enough = run;
  enough.insert(enough.end(), {"--ram", std::to_string(least) + "B"});
  const auto streamed = windlass_json(enough);
  CHECK(streamed["receipt"]["tiers"]["host"]["peak_bytes"] <= least);
  CHECK(streamed["receipt"]["decode"]["links"]["disk_to_host"]["bytes"] > 0);
  CHECK(streamed["ids"] == windlass_json(run)["ids"]);

  Arguments too_little = run;
  too_little.insert(too_little.end(), {"--ram", std::to_string(least - 65536) + "B"});
  const ProcessResult refused = windlass(too_little);
  CHECK(refused.exit_status == 1);
  CHECK_THAT(refused.err, Contains("--ram"));
}

TEST_CASE("every instruction set gives the same logits under a small budget as in memory") {
  const Folder folder;
  write_ids(folder / "ids.json", some_ids(40));
  for (const std::string type : {"q4_0", "bf16"}) {
    const std::string model = folder / (type + ".gguf");
    write_synthetic(model, type);
    for (const std::string& isa : present_isas()) {
      INFO(type << ' ' << isa);
      const ProcessOptions forced{.environment = {"WINDLASS_ISA=" + isa}};
      CHECK(logits_bytes(model, folder / "ids.json", {"--ram", "10MiB"}, forced) ==
            logits_bytes(model, folder / "ids.json", {}, forced));
    }
  }
}

}  // namespace
}  // namespace windlass::test
