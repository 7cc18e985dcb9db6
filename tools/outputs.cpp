#include "tools/outputs.h"

#include <filesystem>
#include <string>

#include "src/base/error.h"
#include "src/base/output_file.h"

namespace windlass {
namespace {

struct NamedFile {
  std::string path;
  const char* role;
};

std::vector<NamedFile> outputs_of(const Options& o) {
  std::vector<NamedFile> outputs;
  for (const auto& [path, role] : {NamedFile{o.output, "the output"},
                                   {o.stats, "the output of --stats"},
                                   {o.trace, "the output of --trace"},
                                   {o.timeline, "the output of --timeline"},
                                   {o.save_logits, "the output of --save-logits"}}) {
    if (!path.empty()) outputs.push_back({path, role});
  }
  return outputs;
}

std::vector<NamedFile> files_in_use(const Options& o, const std::vector<ModelFile>& read_files) {
  const auto source = [](const std::string& path) { return path == "-" ? "/dev/stdin" : path; };
  std::vector<NamedFile> files = {{source(o.file), "the text to be read"},
                                  {source(o.ids), "the token ids to be read"},
                                  {o.config, "the configuration"},
                                  {o.profile, "the machine profile"},
                                  {o.logits, "the logits to be read"},
                                  {"/dev/stdout", "where standard output goes"},
                                  {"/dev/stderr", "where standard error goes"}};
  for (const std::string& text : o.calibrated_on)
    files.push_back({source(text), "a calibration text"});
  for (const ModelFile& file : read_files) files.push_back({file.path, "one of the files read"});
  std::vector<std::string> models = o.models;
  models.push_back(o.model);
  for (const std::string& model : models) {
    files.push_back({model, "the model"});
    std::error_code no_folder;
    for (const auto& entry : std::filesystem::directory_iterator(model, no_folder)) {
      files.push_back({entry.path().string(), "a file of the model"});
    }
  }
  return files;
}

void require_distinct(const NamedFile& output, const NamedFile& other) {
  if (other.path.empty() || !is_same_file(output.path, other.path)) return;
  fail(ErrorCode::kUsage, "{}: {} would replace {}; name another file", output.path, output.role,
       other.role);
}

}  // namespace

void check_outputs(const Options& options, const std::vector<ModelFile>& read_files) {
  const std::vector<NamedFile> outputs = outputs_of(options);
  if (outputs.empty()) return;
  const std::vector<NamedFile> in_use = files_in_use(options, read_files);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    for (const NamedFile& file : in_use) require_distinct(outputs[i], file);
    for (std::size_t j = 0; j < i; ++j) require_distinct(outputs[i], outputs[j]);
    probe_output(outputs[i].path);
  }
}

}  // namespace windlass
