// The machines of configs/machines load, and say of each figure where it comes from.
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "pipeline/profile.h"
#include "src/base/units.h"
#include "tests/support/catch.h"

namespace windlass {
namespace {

std::vector<std::string> machine_files() {
  std::vector<std::string> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(WINDLASS_SOURCE_DIR) + "/configs/machines"))
    files.push_back(entry.path().string());
  return files;
}

nlohmann::json json_of(const std::string& path) {
  std::ifstream file(path);
  return nlohmann::json::parse(file);
}

TEST_CASE("every machine of configs is a profile, marked as estimated") {
  const std::vector<std::string> files = machine_files();
  CHECK(files.size() >= 4);
  int with_gpu = 0;
  for (const std::string& file : files) {
    INFO(file);
    const Profile profile = read_profile(file);
    CHECK(profile.estimated);
    CHECK(profile.ram_bytes >= 8 * kGiB);
    CHECK(matmul_rates(profile, DType::kQ4_K, true).gemv_bytes_per_s <= profile.dram_bytes_per_s);
    CHECK(matmul_rates(profile, DType::kQ5_1, false).gemm_ops_per_s > 0);
    with_gpu += profile.gpu.has_value() ? 1 : 0;
  }
  CHECK(with_gpu == static_cast<int>(files.size()) - 1);
}

// Keys of `sources` are lists of paths: "gpu.vram_bytes, dram.bytes_per_s". A path covers what is
// below it.
bool has_source(const nlohmann::json& sources, const std::string& path) {
  for (const auto& [keys, source] : sources.items()) {
    for (std::size_t begin = 0; begin <= keys.size();) {
      const std::size_t end = std::min(keys.find(", ", begin), keys.size());
      const std::string key = keys.substr(begin, end - begin);
      if (path == key || path.starts_with(key + ".")) return !source.get<std::string>().empty();
      begin = end + 2;
    }
  }
  return false;
}

TEST_CASE("every figure of a machine of configs has a source") {
  for (const std::string& file : machine_files()) {
    const nlohmann::json json = json_of(file);
    for (const auto& [section, values] : json.items()) {
      if (!values.is_object() || section == "sources") continue;
      for (const auto& [key, value] : values.items()) {
        if (value.is_string() || value.is_boolean()) continue;
        INFO(file << ": " << section << "." << key);
        CHECK(has_source(json["sources"], section + "." + key));
      }
    }
  }
}

}  // namespace
}  // namespace windlass
