#include "tests/end_to_end/program.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "cpu_kernels/op_table.h"
#include "src/base/check.h"
#include "tests/support/catch.h"

namespace windlass::test {

std::string golden(const std::string& path) {
  return std::string(WINDLASS_SOURCE_DIR "/tests/golden/") + path;
}
std::string golden_model(const std::string& name) {
  return golden("models/" + name + "/model.gguf");
}

Folder::Folder() {
  std::string pattern = std::filesystem::temp_directory_path() / "windlass-e2e-XXXXXX";
  WINDLASS_CHECK(::mkdtemp(pattern.data()) != nullptr, pattern);
  path_ = pattern;
}

Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::int64_t Folder::n_files() const {
  return std::distance(std::filesystem::directory_iterator(path_),
                       std::filesystem::directory_iterator());
}

std::string read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

void write_ids(const std::string& path, const std::vector<std::int32_t>& ids) {
  write_bytes(path, nlohmann::json(ids).dump());
}

ProcessResult windlass(const Arguments& arguments, const ProcessOptions& options) {
  Arguments argv = {WINDLASS_BINARY};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  const std::vector<std::string> profiled = {"run",  "logits",  "perplexity",
                                             "plan", "compare", "selftest"};
  const bool takes_profile = !arguments.empty() && std::find(profiled.begin(), profiled.end(),
                                                             arguments[0]) != profiled.end();
  const bool names_one = std::find(argv.begin(), argv.end(), "--profile") != argv.end();
  if (!takes_profile || names_one) return run_process(argv, options);
  ProcessOptions with_profile = options;
  with_profile.environment.push_back("WINDLASS_PROFILE=" + golden("machine_profile.json"));
  return run_process(argv, with_profile);
}

nlohmann::json windlass_json(Arguments arguments, const ProcessOptions& options) {
  arguments.emplace_back("--json");
  const ProcessResult result = windlass(arguments, options);
  INFO(nlohmann::json(arguments).dump() << "\n" << result.err);
  REQUIRE(result.exit_status == 0);
  return nlohmann::json::parse(result.out);
}

std::string logits_bytes(const std::string& model, const std::string& ids_path, Arguments flags,
                         const ProcessOptions& options) {
  const Folder folder;
  const std::string out = folder / "out.npy";
  Arguments arguments = {"logits", "-m", model, "--ids", ids_path, "-o", out};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  windlass_json(arguments, options);
  std::string bytes = read_bytes(out);
  REQUIRE(bytes.size() > 4096);
  return bytes.substr(4096);
}

std::vector<float> as_floats(const std::string& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

Difference difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  REQUIRE_FALSE(a.empty());
  Difference result;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double error = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(error <= result.max)) result.max = error;  // a NaN stays
    result.mean += error;
  }
  result.mean /= static_cast<double>(a.size());
  return result;
}

std::string two_threads() { return cpu_share().cpus.size() > 1 ? "2" : "1"; }

std::vector<std::string> present_isas() {
  std::vector<std::string> names;
  for (const Isa isa : kAllIsas) {
    if (isa_present(isa)) names.emplace_back(isa_name(isa));
  }
  return names;
}

}  // namespace windlass::test
