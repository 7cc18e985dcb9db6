// Mixtures of experts through the program: the same logits under every budget, and a receipt that
// counts what routing asked for.
#include <string>

#include "tests/end_to_end/program.h"
#include "tests/support/catch.h"

namespace windlass::test {
namespace {

// 4 layers of 16 experts, of which a token goes through 2; a matrix of one takes 72 KiB, all 13.5
// MiB.
void write_mixture(const std::string& path) {
  windlass_json({"synth",     path,   "--layers",       "4", "--embd",     "256",
                 "--ffn",     "512",  "--heads",        "8", "--kv-heads", "2",
                 "--experts", "16",   "--experts-used", "2", "--vocab",    "2048",
                 "--type",    "q4_0", "--seed",         "7"});
}

std::vector<std::int32_t> some_ids(int n) {
  std::vector<std::int32_t> ids;
  for (int i = 0; i < n; ++i) ids.push_back((i * 797 + 13) % 2048);
  return ids;
}

nlohmann::json plan_of(const std::string& model, const Arguments& flags) {
  Arguments arguments = {"plan", "-m", model, "-c", "64", "-ub", "16"};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  return windlass_json(arguments);
}

nlohmann::json receipt_of(const std::string& model, const Folder& folder, const std::string& ram) {
  return windlass_json({"run", "-m", model, "--raw", "--ids", folder / "ids.json", "-n", "20", "-c",
                        "64", "-ub", "16", "--ram", ram, "--ignore-eos"})["receipt"];
}

TEST_CASE("a mixture's logits are bit-identical for every budget, thread count and schedule") {
  const Folder folder;
  write_ids(folder / "ids.json", some_ids(60));
  const std::string model = folder / "mixture.gguf";
  write_mixture(model);
  const std::string reference = logits_bytes(model, folder / "ids.json", {"-ub", "16"});
  for (const Arguments& flags : std::vector<Arguments>{{"--ram", "5MiB"},
                                                       {"--ram", "5MiB", "--no-overlap"},
                                                       {"--ram", "6MiB", "-t", two_threads()},
                                                       {"--ram", "9MiB"},
                                                       {"--ram", "12MiB", "-t", "1"}}) {
    INFO(nlohmann::json(flags).dump());
    Arguments all = {"-ub", "16"};
    all.insert(all.end(), flags.begin(), flags.end());
    CHECK(logits_bytes(model, folder / "ids.json", all) == reference);
  }
}

TEST_CASE("the golden mixtures give the same bits with few of their experts in memory") {
  const Folder folder;
  std::vector<std::int32_t> ids;
  for (int i = 0; i < 64; ++i) ids.push_back((i * 37 + 11) % 512);
  write_ids(folder / "ids.json", ids);
  for (const std::string name : {"mixtral", "qwen3moe", "deepseek2"}) {
    for (const std::string& path : {golden("models/" + name), golden_model(name)}) {
      const auto least = plan_of(path, {})["min_ram_bytes"].get<std::int64_t>();
      const std::string reference = logits_bytes(path, folder / "ids.json", {"-ub", "16"});
      for (const std::int64_t more : {40000, 120000, 250000}) {
        INFO(path << ", " << more << " B more than the least for one row of logits");
        const std::string ram = std::to_string(least + more) + "B";
        CHECK(logits_bytes(path, folder / "ids.json", {"-ub", "16", "--ram", ram}) == reference);
      }
    }
  }
}

TEST_CASE("the receipt of a decode counts the experts that routing asked for, and no others") {
  const Folder folder;
  write_ids(folder / "ids.json", some_ids(20));
  const std::string model = folder / "mixture.gguf";
  write_mixture(model);
  const auto plan = plan_of(model, {"--ram", "8MiB"});
  const auto& host = plan["placement"]["host"];
  CHECK(host["expert_matrices"] == 4 * 3 * 16);
  const auto slots = host["expert_slots"].get<std::int64_t>();
  CHECK(slots >= 10);
  CHECK(slots < 4 * 3 * 16);
  const std::int64_t matrix_bytes = host["expert_cache_bytes"].get<std::int64_t>() / slots;

  const auto decode = receipt_of(model, folder, "8MiB")["decode"];
  const auto hits = decode["experts"]["hits"].get<std::int64_t>();
  const auto misses = decode["experts"]["misses"].get<std::int64_t>();
  REQUIRE(decode["steps"] == 19);
  CHECK(hits + misses == 19 * 4 * 3 * 2);
  CHECK(decode["experts"]["hit_rate"].get<double>() ==
        Approx(static_cast<double>(hits) / static_cast<double>(hits + misses)));
  // Beside them only a row of the embedding a step: one or two pages.
  const auto bytes = decode["links"]["disk_to_host"]["bytes"].get<std::int64_t>();
  CHECK(bytes <= misses * matrix_bytes + 19 * 8192);
  CHECK(bytes >= misses * (matrix_bytes - 8192));
}

TEST_CASE("plan predicts what the receipt of the same run predicts, of a mixture too") {
  const Folder folder;
  write_ids(folder / "ids.json", some_ids(20));
  const std::string model = folder / "mixture.gguf";
  write_mixture(model);
  for (const std::string ram : {"5MiB", "9MiB", "64MiB"}) {
    const auto decode = receipt_of(model, folder, ram)["decode"];
    const auto plan = plan_of(model, {"--ram", ram, "-d", "29"});
    INFO("--ram " << ram);
    CHECK(plan["predicted_s_per_step"].get<double>() ==
          Approx(decode["predicted_s_per_step"].get<double>()).epsilon(1e-9));
    CHECK(plan["bound_s_per_step"].get<double>() ==
          Approx(decode["bound_s_per_step"].get<double>()).epsilon(1e-9));
    CHECK(decode.contains("experts") == (ram != "64MiB"));
  }
}

TEST_CASE("the least budget of a mixture works, and holds its peak") {
  const Folder folder;
  write_ids(folder / "ids.json", some_ids(20));
  const std::string model = folder / "mixture.gguf";
  write_mixture(model);
  const auto least = plan_of(model, {})["min_ram_bytes"].get<std::int64_t>();
  const auto receipt = receipt_of(model, folder, std::to_string(least) + "B");
  CHECK(receipt["tiers"]["host"]["peak_bytes"] <= least);
  CHECK(receipt["decode"]["experts"]["misses"] > 0);
}

}  // namespace
}  // namespace windlass::test
