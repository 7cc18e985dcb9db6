// windlass convert: a float model, GGUF or Hugging Face folder, with its weights in another type,
// streamed into a new GGUF, from where an interrupted run left off.
#include "pipeline/convert.h"

#include <fmt/ranges.h>

#include <limits>
#include <map>

#include "src/base/error.h"
#include "src/base/nearest.h"
#include "src/base/output_target.h"
#include "src/base/units.h"
#include "src/model/model.h"
#include "src/quant/encode.h"
#include "tools/files.h"
#include "tools/json_output.h"
#include "tools/outputs.h"
#include "tools/progress.h"
#include "tools/session.h"
#include "tools/thread_count.h"

namespace windlass {
namespace {

DType convert_type(const std::string& name, const char* flag) {
  const auto type = dtype_by_name(name);
  if (type && can_encode(*type)) return *type;
  std::vector<std::string> names;
  for (const DType known : encodable_types()) names.emplace_back(dtype_info(known).name);
  fail(ErrorCode::kUsage, "{} {}: the nearest is {}; known are {}", flag, name,
       nearest_name(name, names), fmt::join(names, ", "));
}

ConvertOptions make_convert_options(const Invocation& invocation) {
  const Options& options = invocation.options;
  if (options.output.empty() || !invocation.given("type")) {
    fail(ErrorCode::kUsage, "give a file and a type: windlass convert -m IN OUT.gguf --type q4_k");
  }
  ConvertOptions convert;
  convert.output = options.output;
  convert.types.matrices = convert_type(options.weight_type, "--type");
  convert.types.output = options.output_type.empty()
                             ? default_output_type(convert.types.matrices)
                             : convert_type(options.output_type, "--output-type");
  check_threads(options.threads);
  convert.threads = options.threads == 0 ? usable_cores() : options.threads;
  convert.memory_bytes = options.ram == "auto" ? std::numeric_limits<std::int64_t>::max() / 2
                                               : parse_size(options.ram, "--ram");
  return convert;
}

// What an unfinished result is kept as must not be what is being read.
void require_partial_apart(const Options& options, const TensorTable& source) {
  const std::string partial = resolve_output(options.output).path + ".partial";
  for (const std::string& name : {partial, partial + ".journal"}) {
    for (const ModelFile& file : source.files) {
      if (!is_same_file(name, file.path)) continue;
      fail(ErrorCode::kUsage, "{}: would be written as {}, which is one of the files read",
           options.output, name);
    }
  }
}

std::string_view name_of(DType type) { return dtype_info(type).name; }

// Tensors whose rows are no whole blocks of what was wanted, by row length and types; and what has
// no place in a GGUF.
std::string notes_of(const ConvertReport& report) {
  std::map<std::string, int> fallbacks;
  for (const auto& [name, row_weights, choice] : report.tensors) {
    if (choice.type == choice.wanted) continue;
    ++fallbacks[fmt::format("with rows of {} weights, which {} does not divide: {} instead of {}",
                            row_weights, dtype_info(choice.wanted).block_weights,
                            name_of(choice.type), name_of(choice.wanted))];
  }
  std::string text;
  for (const auto& [note, count] : fallbacks) text += fmt::format("{} tensors {}\n", count, note);
  for (const std::string& note : report.notes) text += "note: " + note + "\n";
  return text;
}

nlohmann::json to_json(const ConvertReport& report) {
  nlohmann::json json = {{"bytes", report.size_bytes},
                         {"resumed_bytes", report.resumed_bytes},
                         {"fallbacks", nlohmann::json::array()},
                         {"notes", report.notes}};
  for (const auto& [name, row_weights, choice] : report.tensors) {
    if (choice.type == choice.wanted) continue;
    json["fallbacks"].push_back(
        {{"tensor", name}, {"type", name_of(choice.type)}, {"wanted", name_of(choice.wanted)}});
  }
  return json;
}

}  // namespace

int convert_command(const Invocation& invocation) {
  const Options& options = invocation.options;
  const ConvertOptions convert = make_convert_options(invocation);
  const TensorTable source = read_tensor_table(require_model(options));
  check_outputs(options, source.files);
  require_partial_apart(options, source);
  ProgressDisplay display(options.progress);
  const ConvertReport report = convert_model(source, convert, display.callback());
  display.clear();
  fmt::print(stderr, "{}", notes_of(report));
  if (options.json) {
    print_json(to_json(report));
  } else {
    print(fmt::format("{}: {}\n", options.output, format_size(report.size_bytes)));
  }
  return 0;
}

}  // namespace windlass
