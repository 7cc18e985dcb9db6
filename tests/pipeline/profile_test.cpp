// The profile as a file: round trip, what is missing, and the cache.
#include "pipeline/profile.h"

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "src/base/error.h"
#include "src/base/units.h"
#include "src/ops/weight_types.h"
#include "tests/support/catch.h"
#include "tests/support/tiny_model.h"

namespace windlass {
namespace {

using windlass::testing::read_file;
using windlass::testing::TempDir;
using windlass::testing::write_file;

std::string golden_path() {
  return std::string(WINDLASS_SOURCE_DIR) + "/tests/golden/machine_profile.json";
}

ProfileOptions options_in(const TempDir& folder) {
  ProfileOptions options;
  options.cache_dir = folder.file("");
  options.memory_bytes = 4 * kMiB;
  return options;
}

TEST_CASE("a profile comes back from its file unchanged") {
  const TempDir folder;
  const Profile profile = read_profile(golden_path());
  CHECK(profile.threads == 2);
  CHECK(profile.int8[static_cast<std::size_t>(DType::kQ4_1)].gemv_bytes_per_s > 0);
  CHECK(profile.int8[static_cast<std::size_t>(DType::kF32)].gemv_bytes_per_s == 0);
  write_profile(profile, folder.file("profile.json"));
  CHECK(to_json(read_profile(folder.file("profile.json"))) == to_json(profile));
}

TEST_CASE("a weight type that is not measured costs as the one that it is like") {
  Profile profile;
  profile.dram_bytes_per_s = 10e9;
  auto& q4_k = profile.int8[static_cast<std::size_t>(DType::kQ4_K)];
  q4_k = {4.5e9, 1e11, 2e9, 3e9};  // 8e9 weights a second
  CHECK(matmul_rates(profile, DType::kQ5_K, true).gemv_bytes_per_s == Approx(5.5e9));
  CHECK(matmul_rates(profile, DType::kQ5_K, true).gemm_ops_per_s == 1e11);
  CHECK(matmul_rates(profile, DType::kQ5_K, true).unpack_weights_per_s == 2e9);
  CHECK(matmul_rates(profile, DType::kQ5_K, true).panel_weights_per_s == 3e9);
  CHECK(matmul_rates(profile, DType::kQ4_K, true).gemv_bytes_per_s == 4.5e9);
  CHECK(matmul_rates(profile, DType::kQ5_K, false).gemv_bytes_per_s == 0);
  q4_k.gemv_bytes_per_s = 9e9;  // memory is the limit
  CHECK(matmul_rates(profile, DType::kQ5_K, true).gemv_bytes_per_s == 10e9);
}

TEST_CASE("every weight type costs like one that is measured") {
  for (const WeightType& row : kWeightTypes) {
    const WeightType* like = find_weight_type(row.costs_like);
    INFO(dtype_info(row.type).name);
    REQUIRE(like != nullptr);
    CHECK(like->costs_like == like->type);
    CHECK((!row.int8 || like->int8));
  }
}

TEST_CASE("what is measured is plausible, cached, and read from there the next time") {
  const TempDir folder;
  const ProfileOptions options = options_in(folder);
  const CachedProfile first = load_or_measure_profile(options, {});
  const Profile& profile = first.profile;
  CHECK(first.measured);
  CHECK(first.not_cached.empty());
  CHECK(profile.threads == 1);
  CHECK(profile.isa == "scalar");
  CHECK(profile.disk_bytes_per_s > 1e6);
  CHECK(profile.dram_bytes_per_s > 1e8);
  CHECK(profile.op_overhead_s < 1e-3);
  CHECK(profile.exact[static_cast<std::size_t>(DType::kF32)].gemv_bytes_per_s > 1e7);
  const CachedProfile second = load_or_measure_profile(options, {});
  CHECK_FALSE(second.measured);
  CHECK(to_json(second.profile) == to_json(profile));
}

TEST_CASE("a damaged cache entry is measured again") {
  const TempDir folder;
  const ProfileOptions options = options_in(folder);
  const std::string good = read_file(golden_path());
  struct Measuring {};
  const auto stop = [](double, const char*) { throw Measuring{}; };
  write_file(profile_cache_path(options), good);
  CHECK_FALSE(load_or_measure_profile(options, stop).measured);
  write_file(profile_cache_path(options), good.substr(0, good.size() / 2));
  CHECK_THROWS_AS(load_or_measure_profile(options, stop), Measuring);
}

TEST_CASE("a missing or impossible value is named with its file") {
  const TempDir folder;
  const nlohmann::json good = to_json(read_profile(golden_path()));
  const std::string path = folder.file("bad.json");
  const auto error_of = [&](const nlohmann::json& json) {
    write_file(path, json.dump());
    try {
      read_profile(path);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::kBadFile);
      CHECK_THAT(error.what(), Contains(path));
      return std::string(error.what());
    }
    return std::string("no error");
  };
  for (const auto& [section, key] :
       std::vector<std::pair<std::string, std::string>>{{"cpu", "threads"},
                                                        {"cpu", "op_overhead_s"},
                                                        {"cpu", "attention_bytes_per_s"},
                                                        {"dram", "bytes_per_s"},
                                                        {"dram", "size_bytes"},
                                                        {"disk", "bytes_per_s"},
                                                        {"disk", "latency_s"}}) {
    INFO(section << "." << key);
    nlohmann::json bad = good;
    bad[section].erase(key);
    CHECK_THAT(error_of(bad), Contains(key));
    for (const nlohmann::json& value :
         {nlohmann::json(0), nlohmann::json(-1), nlohmann::json("fast"), nlohmann::json()}) {
      bad[section][key] = value;
      CHECK_THAT(error_of(bad), Contains(key));
    }
  }
  nlohmann::json bad = good;
  bad.erase("disk");
  CHECK_THAT(error_of(bad), Contains("disk"));
  bad = good;
  bad["version"] = 0;
  CHECK_THAT(error_of(bad), Contains("version"));
  bad = good;
  bad["cpu"]["exact"]["F99"] = {{"gemv_bytes_per_s", 1}};
  CHECK_THAT(error_of(bad), Contains("F99"));
  bad = good;
  bad["cpu"]["exact"]["F32"].erase("gemm_ops_per_s");
  CHECK_THAT(error_of(bad), Contains("gemm_ops_per_s"));
  CHECK_THAT(error_of(nlohmann::json("text")), Contains("profile"));
}

TEST_CASE("a GPU's figures come back, and a bad one is named") {
  const TempDir folder;
  const std::string path = folder.file("gpu.json");
  const std::string machine =
      std::string(WINDLASS_SOURCE_DIR) + "/configs/machines/rtx4090-ddr5.json";
  const Profile profile = read_profile(machine);
  REQUIRE(profile.gpu);
  write_profile(profile, path);
  CHECK(to_json(read_profile(path)) == to_json(profile));
  CHECK_FALSE(read_profile(golden_path()).gpu);
  const nlohmann::json good = to_json(profile);
  for (const auto& [key, figure] : good["gpu"].items()) {
    if (key == "name") continue;
    INFO(key);
    for (const nlohmann::json& value : {nlohmann::json(0), nlohmann::json(-1),
                                        nlohmann::json("fast"), nlohmann::json(std::nan(""))}) {
      nlohmann::json bad = good;
      bad["gpu"][key] = value;
      write_file(path, bad.dump());
      CHECK_THROWS_WITH(read_profile(path), Contains(path) && Contains("'" + key + "'"));
    }
    nlohmann::json bad = good;
    bad["gpu"].erase(key);
    write_file(path, bad.dump());
    CHECK_THROWS_WITH(read_profile(path), Contains("'" + key + "'"));
  }
  nlohmann::json bad = good;
  bad["gpu"] = 3;
  write_file(path, bad.dump());
  CHECK_THROWS_WITH(read_profile(path), Contains("'gpu'"));
}

TEST_CASE("values of a wrong kind beside the numbers are errors too, not crashes") {
  const TempDir folder;
  const std::string path = folder.file("odd.json");
  for (const char* key : {"name", "isa", "int8"}) {
    nlohmann::json bad = to_json(read_profile(golden_path()));
    bad["cpu"][key] = 7;
    write_file(path, bad.dump());
    INFO(key);
    CHECK_THROWS_AS(read_profile(path), Error);
  }
}

TEST_CASE("a profile that is not there is an I/O error") {
  try {
    read_profile(TempDir().file("none.json"));
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kIo);
  }
}

TEST_CASE("profiles of other threads, instruction sets or places have other cache entries") {
  const TempDir folder;
  ProfileOptions options = options_in(folder);
  const std::string path = profile_cache_path(options);
  options.threads = 2;
  CHECK(profile_cache_path(options) != path);
  options = options_in(folder);
  options.isa = Isa::kAvx2;
  CHECK(profile_cache_path(options) != path);
  options = options_in(folder);
  options.model_path = "/proc/version";  // another device
  CHECK(profile_cache_path(options) != path);
}

}  // namespace
}  // namespace windlass
