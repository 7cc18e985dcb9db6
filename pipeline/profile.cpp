// The profile as JSON and in its cache; measuring is profile_measure.cpp.
#include "pipeline/profile.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "src/base/error.h"
#include "src/base/output_file.h"
#include "src/ops/weight_types.h"

namespace windlass {
namespace {

constexpr int kProfileVersion = 6;

struct GpuFigure {
  const char* key;
  double GpuProfile::*figure;
};
constexpr GpuFigure kGpuFigures[] = {
    {"vram_bytes_per_s", &GpuProfile::vram_bytes_per_s},
    {"h2d_bytes_per_s", &GpuProfile::h2d_bytes_per_s},
    {"d2h_bytes_per_s", &GpuProfile::d2h_bytes_per_s},
    {"h2d_latency_s", &GpuProfile::h2d_latency_s},
    {"d2h_latency_s", &GpuProfile::d2h_latency_s},
    {"f16_ops_per_s", &GpuProfile::f16_ops_per_s},
    {"int8_ops_per_s", &GpuProfile::int8_ops_per_s},
    {"f32_ops_per_s", &GpuProfile::f32_ops_per_s},
    {"op_overhead_s", &GpuProfile::op_overhead_s},
};

nlohmann::json rates_json(const std::array<MatMulRates, kDTypeCount>& rates) {
  nlohmann::json json = nlohmann::json::object();
  for (int id = 0; id < kDTypeCount; ++id) {
    const MatMulRates& rate = rates[static_cast<std::size_t>(id)];
    if (rate.gemv_bytes_per_s <= 0) continue;
    json[std::string(dtype_info(static_cast<DType>(id)).name)] = {
        {"gemv_bytes_per_s", rate.gemv_bytes_per_s},
        {"gemm_ops_per_s", rate.gemm_ops_per_s},
        {"unpack_weights_per_s", rate.unpack_weights_per_s},
        {"panel_weights_per_s", rate.panel_weights_per_s}};
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
      rates[static_cast<std::size_t>(*type)] = {
          positive(value, "gemv_bytes_per_s"), positive(value, "gemm_ops_per_s"),
          positive(value, "unpack_weights_per_s"), positive(value, "panel_weights_per_s")};
    }
  }

 private:
  const nlohmann::json& json_;
  const std::string& path_;
};

GpuProfile parse_gpu(const Reader& reader, const nlohmann::json& json) {
  GpuProfile gpu;
  gpu.name = json.value("name", "");
  gpu.vram_bytes = static_cast<std::int64_t>(reader.positive(json, "vram_bytes"));
  for (const auto& [key, figure] : kGpuFigures) gpu.*figure = reader.positive(json, key);
  return gpu;
}

nlohmann::json gpu_json(const GpuProfile& gpu) {
  nlohmann::json json = {{"name", gpu.name}, {"vram_bytes", gpu.vram_bytes}};
  for (const auto& [key, figure] : kGpuFigures) json[key] = gpu.*figure;
  return json;
}

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
  const nlohmann::json& dram = reader.object("dram");
  profile.dram_bytes_per_s = reader.positive(dram, "bytes_per_s");
  profile.ram_bytes = static_cast<std::int64_t>(reader.positive(dram, "size_bytes"));
  profile.disk_path = disk.value("path", "");
  profile.disk_direct = disk.value("direct", true);
  profile.disk_bytes_per_s = reader.positive(disk, "bytes_per_s");
  profile.disk_latency_s = reader.positive(disk, "latency_s");
  profile.disk_small_read_s = reader.positive(disk, "small_read_s");
  profile.estimated = json.value("estimated", false);
  if (json.contains("gpu")) profile.gpu = parse_gpu(reader, reader.object("gpu"));
  return profile;
}

double bytes_per_weight(DType type) {
  const DTypeInfo& info = dtype_info(type);
  return static_cast<double>(info.block_bytes) / static_cast<double>(info.block_weights);
}

}  // namespace

MatMulRates matmul_rates(const Profile& profile, DType type, bool rounded) {
  const auto& measured = rounded ? profile.int8 : profile.exact;
  const MatMulRates& own = measured[static_cast<std::size_t>(type)];
  const WeightType* row = find_weight_type(type);
  if (own.gemv_bytes_per_s > 0 || row == nullptr) return own;
  MatMulRates rates = measured[static_cast<std::size_t>(row->costs_like)];
  const double as_fast =
      rates.gemv_bytes_per_s * bytes_per_weight(type) / bytes_per_weight(row->costs_like);
  rates.gemv_bytes_per_s = std::min(as_fast, profile.dram_bytes_per_s);
  return rates;
}

std::string cpu_model_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown CPU";
}

nlohmann::json to_json(const Profile& profile) {
  nlohmann::json json = {
      {"version", kProfileVersion},
      {"cpu",
       {{"name", profile.cpu},
        {"isa", profile.isa},
        {"threads", profile.threads},
        {"op_overhead_s", profile.op_overhead_s},
        {"attention_bytes_per_s", profile.attention_bytes_per_s},
        {"attention_ops_per_s", profile.attention_ops_per_s},
        {"int8", rates_json(profile.int8)},
        {"exact", rates_json(profile.exact)}}},
      {"dram", {{"bytes_per_s", profile.dram_bytes_per_s}, {"size_bytes", profile.ram_bytes}}},
      {"disk",
       {{"path", profile.disk_path},
        {"direct", profile.disk_direct},
        {"bytes_per_s", profile.disk_bytes_per_s},
        {"latency_s", profile.disk_latency_s},
        {"small_read_s", profile.disk_small_read_s}}}};
  if (profile.gpu) json["gpu"] = gpu_json(*profile.gpu);
  if (profile.estimated) json["estimated"] = true;
  return json;
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
  write_whole_file(path, to_json(profile).dump(2) + '\n');
}

std::string profile_cache_path(const ProfileOptions& options) {
  const std::string& target = options.model_path.empty() ? options.cache_dir : options.model_path;
  struct stat status {};
  const unsigned long device = ::stat(target.c_str(), &status) == 0 ? status.st_dev : 0;
  const std::size_t cpu = std::hash<std::string>{}(cpu_model_name());
  return fmt::format("{}/profile-{:016x}-{}-{}t-dev{:x}.json", options.cache_dir, cpu,
                     isa_name(options.isa), options.threads, device);
}

void make_cache_dir(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    fail(ErrorCode::kIo, "{}: cannot make this folder: {}; choose another place with --cache-dir",
         path, error.message());
  }
}

CachedProfile load_or_measure_profile(const ProfileOptions& options,
                                      const std::function<void(double, const char*)>& progress) {
  const std::string path = profile_cache_path(options);
  CachedProfile result;
  std::error_code absent;
  if (std::filesystem::exists(path, absent)) {
    try {
      result.profile = read_profile(path);
      return result;
    } catch (const Error&) {
      // A damaged or older cache entry is measured again.
    }
  }
  result.measured = true;
  result.profile = measure_profile(options, progress);
  try {
    make_cache_dir(options.cache_dir);
    write_profile(result.profile, path);
  } catch (const Error& error) {
    result.not_cached = error.what();  // costs a measurement next time, nothing else
  }
  return result;
}

}  // namespace windlass
