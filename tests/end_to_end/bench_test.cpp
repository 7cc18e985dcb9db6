// windlass bench: which tests its flags make, llama-bench's formats and fields, and what is left
// when it ends early.
#include <algorithm>
#include <sstream>

#include "tests/end_to_end/program.h"
#include "tests/support/catch.h"

namespace windlass::test {
namespace {

Arguments bench(const Arguments& more) {
  Arguments arguments = {"bench", "-m", golden_model("llama"), "-r", "1", "--no-warmup"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

nlohmann::ordered_json rows(const Arguments& more) {
  Arguments arguments = bench(more);
  arguments.insert(arguments.end(), {"-o", "json"});
  const ProcessResult result = windlass(arguments);
  INFO(result.err);
  REQUIRE(result.exit_status == 0);
  return nlohmann::ordered_json::parse(result.out);
}

// "p/n/d/np" of each row.
std::vector<std::string> tests_of(const nlohmann::ordered_json& rows) {
  std::vector<std::string> tests;
  for (const auto& row : rows) {
    tests.push_back(row["n_prompt"].dump() + "/" + row["n_gen"].dump() + "/" +
                    row["n_depth"].dump() + "/" + row["n_seq"].dump());
  }
  return tests;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

const std::vector<std::string> kPeerFields = {
    "build_commit", "build_number", "cpu_info",       "gpu_info", "backends", "model_filename",
    "model_type",   "model_size",   "model_n_params", "n_batch",  "n_ubatch", "n_threads",
    "type_k",       "type_v",       "n_prompt",       "n_gen",    "n_depth",  "test_time",
    "avg_ns",       "stddev_ns",    "avg_ts",         "stddev_ts"};

TEST_CASE("lists, ranges and repeated flags make all combinations, in llama-bench's order") {
  CHECK(tests_of(rows({"-p", "8,4", "-n", "2-4+2", "-pg", "6,2", "-d", "0", "-d", "16"})) ==
        std::vector<std::string>{"8/0/0/1", "4/0/0/1", "0/2/0/1", "0/4/0/1", "6/2/0/1", "8/0/16/1",
                                 "4/0/16/1", "0/2/16/1", "0/4/16/1", "6/2/16/1"});
  CHECK(tests_of(rows({"-p", "0", "-n", "2", "-np", "1-4*2"})) ==
        std::vector<std::string>{"0/2/0/1", "0/2/0/2", "0/2/0/4"});
  const auto settings = rows({"-p", "4", "-n", "0", "-t", "1,2", "-b", "2,3", "-ub", "2"});
  REQUIRE(settings.size() == 4);
  CHECK(settings[0]["n_batch"] == 2);
  CHECK(settings[0]["n_threads"] == 1);
  CHECK(settings[1]["n_batch"] == 2);
  CHECK(settings[1]["n_threads"] == 2);
  CHECK(settings[3]["n_batch"] == 3);
  CHECK(settings[3]["n_ubatch"] == 2);
}

TEST_CASE("without flags for tests there are llama-bench's two") {
  CHECK(tests_of(rows({})) == std::vector<std::string>{"512/0/0/1", "0/128/0/1"});
}

TEST_CASE("a row has llama-bench's fields in its order, then ours, and figures that agree") {
  const auto all = rows({"-p", "8", "-n", "0", "-np", "2", "-r", "3", "--exact"});
  REQUIRE(all.size() == 1);
  const auto& row = all[0];
  std::vector<std::string> names;
  for (const auto& [name, value] : row.items()) names.push_back(name);
  REQUIRE(names.size() > kPeerFields.size() + 3);
  CHECK(std::equal(kPeerFields.begin(), kPeerFields.end(), names.begin()));
  CHECK(names[kPeerFields.size()] == "samples_ns");
  CHECK(names[kPeerFields.size() + 1] == "samples_ts");
  CHECK(names[kPeerFields.size() + 2] == "n_seq");
  CHECK(row["samples_ns"].size() == 3);
  double sum = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    const double ts = row["samples_ts"][i];
    CHECK(ts == Approx(2 * 8 * 1e9 / row["samples_ns"][i].get<double>()).epsilon(1e-3));
    sum += ts;
  }
  CHECK(row["avg_ts"].get<double>() == Approx(sum / 3));
  CHECK(row["model_n_params"].get<std::int64_t>() > 0);
  CHECK(row["bytes_per_step"].get<std::int64_t>() > 0);
  for (const char* name :
       {"gb_s", "gop_s", "dram_gb_s", "dram_share", "peak_gop_s", "peak_share", "predicted_ts"}) {
    INFO(name);
    CHECK(row[name].get<double>() > 0);
  }
  for (const char* name : {"outside_kernels", "region_overhead", "disk_wait"}) {
    CHECK(row[name].get<double>() >= 0);
    CHECK(row[name].get<double>() <= 1);
  }
  if (row["regions_per_step"].get<double>() > 0) CHECK(row["region_overhead"].get<double>() > 0);
}

TEST_CASE("CSV, JSON lines, SQL and the table have the rows that JSON has") {
  const Arguments two = {"-p", "4", "-n", "2", "-np", "3", "-ub", "8"};
  const auto with = [&](const char* format) {
    Arguments arguments = bench(two);
    arguments.insert(arguments.end(), {"-o", format});
    const ProcessResult result = windlass(arguments);
    REQUIRE(result.exit_status == 0);
    return lines_of(result.out);
  };
  const auto csv = with("csv");
  REQUIRE(csv.size() == 3);
  CHECK(csv[0].starts_with("build_commit,build_number,cpu_info,"));
  CHECK(csv[1].starts_with("\""));
  const auto jsonl = with("jsonl");
  REQUIRE(jsonl.size() == 2);
  CHECK(nlohmann::json::parse(jsonl[1])["n_gen"] == 2);
  const auto sql = with("sql");
  REQUIRE(sql.size() > 4);
  CHECK(sql[0] == "CREATE TABLE IF NOT EXISTS llama_bench (");
  CHECK(std::count_if(sql.begin(), sql.end(), [](const std::string& line) {
          return line.starts_with("INSERT INTO llama_bench (build_commit, ");
        }) == 2);
  const auto table = with("md");
  REQUIRE(table.size() == 6);  // titles, rule, two rows, an empty line, the build
  CHECK_THAT(table[0], Contains("| model  "));
  CHECK_THAT(table[0], Contains(" n_ubatch |"));
  CHECK_THAT(table[2], Contains("pp4 x3"));
  CHECK_THAT(table[3], Contains("tg2 x3"));
  CHECK_THAT(table[3], Contains(" ± "));
  CHECK(table[5].starts_with("build: "));
}

TEST_CASE("lists of KV types run all pairs") {
  std::vector<std::string> pairs;
  for (const auto& row : rows({"-p", "4", "-n", "0", "-ctk", "f16,bf16", "-ctv", "f32"})) {
    pairs.push_back(row["type_k"].get<std::string>() + "/" + row["type_v"].get<std::string>());
  }
  CHECK(pairs == std::vector<std::string>{"f16/f32", "bf16/f32"});
}

TEST_CASE("Ctrl-C keeps the rows that are finished, and closes the array") {
  const ProcessResult result = windlass(
      {"bench", "-m", golden_model("llama"), "-p", "4", "-n", "2000", "-r", "50", "-o", "json"},
      {.watch_for = "test 2 of 2"});
  INFO(result.err);
  CHECK(result.exit_status == 130);
  CHECK(nlohmann::json::parse(result.out).size() == 1);
  CHECK_THAT(result.err, Contains("1 of 2 tests were measured"));
}

}  // namespace
}  // namespace windlass::test
