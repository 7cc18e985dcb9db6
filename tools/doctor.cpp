// windlass doctor: what this machine offers, and what to do about what it lacks.
#include "pipeline/doctor.h"

#include <fmt/format.h>

#include "src/model/model.h"
#include "tools/files.h"
#include "tools/json_output.h"
#include "tools/session.h"

namespace windlass {
namespace {

nlohmann::json to_json(const std::vector<Finding>& findings) {
  nlohmann::json json = nlohmann::json::array();
  for (const Finding& finding : findings) {
    json.push_back({{"name", finding.name},
                    {"health", health_name(finding.health)},
                    {"what", finding.what},
                    {"advice", finding.advice}});
  }
  return {{"findings", json}};
}

std::string to_text(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings) {
    text +=
        fmt::format("{:<8} {:<10} {}\n", health_name(finding.health), finding.name, finding.what);
    if (!finding.advice.empty()) text += fmt::format("{:<19} {}\n", "", finding.advice);
  }
  return text;
}

}  // namespace

int doctor_command(const Invocation& invocation) {
  const Options& options = invocation.options;
  const std::vector<ModelFile> files =
      options.model.empty() ? std::vector<ModelFile>{} : read_tensor_table(options.model).files;
  // Without a model, direct I/O is tried where a file of ours may be.
  const std::vector<Finding> findings =
      examine_machine(files, files.empty() ? cache_dir(options) : std::string());
  if (options.json) {
    print_json(to_json(findings));
  } else {
    print(to_text(findings));
  }
  return 0;
}

}  // namespace windlass
