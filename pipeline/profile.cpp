// The profile as JSON and in its cache; measuring is profile_measure.cpp.
#include "pipeline/profile.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "src/base/error.h"
#include "src/base/output_target.h"

namespace windlass {
namespace {

constexpr int kProfileVersion = 2;

nlohmann::json rates_json(const std::array<MatMulRates, kDTypeCount>& rates) {
  nlohmann::json json = nlohmann::json::object();
  for (int id = 0; id < kDTypeCount; ++id) {
    const MatMulRates& rate = rates[static_cast<std::size_t>(id)];
    if (rate.gemv_bytes_per_s <= 0) continue;
    json[std::string(dtype_info(static_cast<DType>(id)).name)] = {
        {"gemv_bytes_per_s", rate.gemv_bytes_per_s},
        {"gemm_ops_per_s", rate.gemm_ops_per_s},
        {"unpack_weights_per_s", rate.unpack_weights_per_s}};
  }
  return json;
}

// Reads positive numbers with errors that name the file and the key.
class Reader {
 public:
  Reader(const nlohmann::json& json, const std::string& path) : json_(json), path_(path) {}
  double positive(const nlohmann::json& object, const char* key) const {
    const auto found = object.find(key);
    if (found == object.end() || !found->is_number() || !(found->get<double>() > 0) ||
        !std::isfinite(found->get<double>())) {
      fail(ErrorCode::kBadFile,
           "{}: profile key '{}' is missing or not a positive number; run windlass profile -o {}",
           path_, key, path_);
    }
    return found->get<double>();
  }
  const nlohmann::json& object(const char* key) const {
    const auto found = json_.find(key);
    if (found == json_.end() || !found->is_object()) {
      fail(ErrorCode::kBadFile, "{}: profile key '{}' is missing; run windlass profile -o {}",
           path_, key, path_);
    }
    return *found;
  }
  void rates(const nlohmann::json& object, std::array<MatMulRates, kDTypeCount>& rates) const {
    for (const auto& [name, value] : object.items()) {
      const auto type = dtype_by_name(name);
      if (!type) fail(ErrorCode::kBadFile, "{}: '{}' is not a weight type", path_, name);
      rates[static_cast<std::size_t>(*type)] = {positive(value, "gemv_bytes_per_s"),
                                                positive(value, "gemm_ops_per_s"),
                                                positive(value, "unpack_weights_per_s")};
    }
  }

 private:
  const nlohmann::json& json_;
  const std::string& path_;
};

Profile parse_profile(const nlohmann::json& json, const std::string& path) {
  if (!json.is_object() || json.value("version", 0) != kProfileVersion) {
    fail(ErrorCode::kBadFile, "{}: not a profile of version {}; run windlass profile -o {}", path,
         kProfileVersion, path);
  }
  const Reader reader(json, path);
  const nlohmann::json& cpu = reader.object("cpu");
  const nlohmann::json& disk = reader.object("disk");
  Profile profile;
  profile.cpu = cpu.value("name", "");
  profile.isa = cpu.value("isa", "");
  profile.threads = static_cast<int>(reader.positive(cpu, "threads"));
  profile.op_overhead_s = reader.positive(cpu, "op_overhead_s");
  profile.attention_bytes_per_s = reader.positive(cpu, "attention_bytes_per_s");
  profile.attention_ops_per_s = reader.positive(cpu, "attention_ops_per_s");
  reader.rates(cpu.value("int8", nlohmann::json::object()), profile.int8);
  reader.rates(cpu.value("exact", nlohmann::json::object()), profile.exact);
  profile.dram_bytes_per_s = reader.positive(reader.object("dram"), "bytes_per_s");
  profile.disk_path = disk.value("path", "");
  profile.disk_direct = disk.value("direct", true);
  profile.disk_bytes_per_s = reader.positive(disk, "bytes_per_s");
  profile.disk_latency_s = reader.positive(disk, "latency_s");
  profile.disk_small_read_s = reader.positive(disk, "small_read_s");
  return profile;
}

}  // namespace

std::string cpu_model_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown CPU";
}

nlohmann::json to_json(const Profile& profile) {
  return {{"version", kProfileVersion},
          {"cpu",
           {{"name", profile.cpu},
            {"isa", profile.isa},
            {"threads", profile.threads},
            {"op_overhead_s", profile.op_overhead_s},
            {"attention_bytes_per_s", profile.attention_bytes_per_s},
            {"attention_ops_per_s", profile.attention_ops_per_s},
            {"int8", rates_json(profile.int8)},
            {"exact", rates_json(profile.exact)}}},
          {"dram", {{"bytes_per_s", profile.dram_bytes_per_s}}},
          {"disk",
           {{"path", profile.disk_path},
            {"direct", profile.disk_direct},
            {"bytes_per_s", profile.disk_bytes_per_s},
            {"latency_s", profile.disk_latency_s},
            {"small_read_s", profile.disk_small_read_s}}}};
}

Profile read_profile(const std::string& path) {
  std::ifstream file(path);
  if (!file) fail(ErrorCode::kIo, "{}: cannot read the profile: {}", path, std::strerror(errno));
  const nlohmann::json json = nlohmann::json::parse(file, nullptr, false);
  try {
    return parse_profile(json, path);
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorCode::kBadFile,
         "{}: a value of the profile is of the wrong kind ({}); run windlass profile -o {}", path,
         error.what(), path);
  }
}

void write_profile(const Profile& profile, const std::string& path) {
  check_output_target(path);
  const std::string partial = fmt::format("{}.{}.partial", path, getpid());
  {
    std::ofstream file(partial);
    file << to_json(profile).dump(2) << '\n';
    file.close();
    if (!file) {
      std::remove(partial.c_str());
      fail(ErrorCode::kIo, "{}: cannot write the profile: {}", path, std::strerror(errno));
    }
  }
  if (std::rename(partial.c_str(), path.c_str()) != 0) {
    const int error = errno;
    std::remove(partial.c_str());
    fail(ErrorCode::kIo, "{}: cannot write the profile: {}", path, std::strerror(error));
  }
}

std::string profile_cache_path(const ProfileOptions& options) {
  const std::string& target = options.model_path.empty() ? options.cache_dir : options.model_path;
  struct stat status {};
  const unsigned long device = ::stat(target.c_str(), &status) == 0 ? status.st_dev : 0;
  const std::size_t cpu = std::hash<std::string>{}(cpu_model_name());
  return fmt::format("{}/profile-{:016x}-{}-{}t-dev{:x}.json", options.cache_dir, cpu,
                     isa_name(options.isa), options.threads, device);
}

Profile load_or_measure_profile(const ProfileOptions& options,
                                const std::function<void(double, const char*)>& progress,
                                bool* measured) {
  const std::string path = profile_cache_path(options);
  *measured = !std::filesystem::exists(path);
  if (!*measured) {
    try {
      return read_profile(path);
    } catch (const Error&) {
      *measured = true;  // a damaged or older cache entry is measured again
    }
  }
  Profile profile = measure_profile(options, progress);
  std::error_code ignored;
  std::filesystem::create_directories(options.cache_dir, ignored);
  try {
    write_profile(profile, path);
  } catch (const Error&) {
    // An unwritable cache costs a measurement next time, nothing else.
  }
  return profile;
}

}  // namespace windlass
