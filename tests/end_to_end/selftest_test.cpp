// windlass selftest: passes on a sound program, and fails with a bug planted under it.
#include <cstdio>

#include "tests/end_to_end/program.h"
#include "tests/support/catch.h"

namespace windlass::test {
namespace {

constexpr int kTimeout_s = 500;  // it runs the model some 80 times

// 6 layers of about 1.2 MB, so that small budgets stream most of it.
std::string write_streamed(const Folder& folder) {
  windlass_json({"synth", folder / "model.gguf", "--layers", "6", "--embd", "256", "--ffn", "1024",
                 "--heads", "8", "--kv-heads", "2", "--head-dim", "32", "--vocab", "2048", "--type",
                 "q4_0"});
  return folder / "model.gguf";
}

TEST_CASE("a selftest of a model without a tokenizer passes, as a table and as JSON") {
  const Folder folder;
  const std::string model = write_streamed(folder);
  const ProcessResult table = windlass({"selftest", "-m", model}, {.timeout_s = kTimeout_s});
  INFO(table.out << table.err);
  CHECK(table.exit_status == 0);
  CHECK_THAT(table.out, Contains("the least --ram") && Contains("0 differ, 0 failed"));
  const auto json =
      windlass_json({"selftest", "-m", model, "--exact", "-ctk", "f32", "-ctv", "f32"},
                    {.timeout_s = kTimeout_s});
  CHECK(json["passed"] == true);
  CHECK(json["n_passed"] >= 14);
  for (const std::string& isa : present_isas()) {
    CHECK(std::any_of(json["cases"].begin(), json["cases"].end(), [&](const auto& row) {
      return row["isa"] == isa && row["result"] == "passed";
    }));
  }
}

TEST_CASE("a selftest of tiny models passes with given ids, text or a budget") {
  const Folder folder;
  write_ids(folder / "ids.json", {5, 9, 200, 3, 5, 9, 77, 8, 1, 0});
  for (const char* name : {"llama", "qwen2", "llama_quants/Q8_0"}) {
    const auto json = windlass_json(
        {"selftest", "-m", golden_model(name), "--ids", folder / "ids.json", "--ram", "64MiB"});
    INFO(name << json.dump(1));
    CHECK(json["passed"] == true);
    CHECK(json["prompt_tokens"] == 10);
    for (const auto& row : json["cases"]) {
      if (row.contains("budget_bytes")) CHECK(row["budget_bytes"] <= 64 << 20);
    }
  }
  CHECK(windlass_json({"selftest", "-m", golden("models/gemma2")})["passed"] == true);
  const auto one = windlass_json({"selftest", "-m", golden_model("llama"), "--isa", "scalar"});
  CHECK(one["passed"] == true);
  for (const auto& row : one["cases"]) CHECK(row["isa"] == "scalar");
}

TEST_CASE("a planted placement bug makes the selftest fail and name the case") {
#ifdef WINDLASS_MISREAD
  const Folder folder;
  const std::string model = write_streamed(folder);
  const ProcessOptions planted{.environment = {"LD_PRELOAD=" WINDLASS_MISREAD},
                               .timeout_s = kTimeout_s};
  const ProcessResult json_run = windlass({"selftest", "-m", model, "--json"}, planted);
  INFO(json_run.out << json_run.err);
  CHECK(json_run.exit_status == 1);
  const auto json = nlohmann::json::parse(json_run.out);
  CHECK(json["passed"] == false);
  const auto differing = std::find_if(json["cases"].begin(), json["cases"].end(),
                                      [](const auto& row) { return row["result"] == "differs"; });
  REQUIRE(differing != json["cases"].end());
  CHECK((*differing)["io_engine"] == "threads");
  CHECK((*differing)["first_difference"].contains("position"));
  CHECK((*differing)["first_difference"].contains("logit"));
  const ProcessResult table = windlass({"selftest", "-m", model}, planted);
  CHECK(table.exit_status == 1);
  CHECK_THAT(table.out, Contains("differs: "));
#else
  std::puts("skipped: a sanitizer's library has to be loaded first");
#endif
}

TEST_CASE("a selftest that cannot begin says why in a line") {
  const Folder folder;
  write_ids(folder / "one.json", {5});
  const auto check = [](const Arguments& arguments, int status, const std::string& says) {
    const ProcessResult result = windlass(arguments);
    INFO(result.err);
    CHECK(result.exit_status == status);
    CHECK_THAT(result.err, Contains(says));
    CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
  };
  const std::string model = golden_model("llama");
  check({"selftest"}, 2, "no model given");
  check({"selftest", "-m", model, "--ids", folder / "one.json"}, 2, "at least 2");
  check({"selftest", "-m", model, "--isa", "avx3"}, 2, "avx3");
  check({"selftest", "-m", write_streamed(folder), "-p", "text"}, 1, "--ids");
  check({"selftest", "-m", model, "--ram", "64KiB"}, 1, "the least that works is --ram");
}

}  // namespace
}  // namespace windlass::test
