#include "src/model/hf_folder.h"

#include <filesystem>
#include <utility>

#include "src/base/error.h"
#include "src/format/json_events.h"
#include "src/format/printable.h"
#include "src/format/safetensors.h"
#include "src/model/hf_config.h"
#include "src/model/hf_family.h"
#include "src/model/json_reader.h"

namespace windlass {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kMaxConfigBytes = 1 << 20;            // some KB in practice
constexpr std::int64_t kMaxTokenizerConfigBytes = 16 << 20;  // lists all added tokens: some 100 KB
constexpr std::int64_t kMaxTemplateBytes = 1 << 20;

bool is_file(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored);
}

// Null when the file is absent.
Json read_optional(const std::string& path, std::int64_t max_bytes) {
  return is_file(path) ? parse_json(read_small_file(path, max_bytes), path) : Json();
}

std::string name_of(const std::string& folder) {
  const std::filesystem::path path = std::filesystem::weakly_canonical(folder);
  return path.filename().string();
}

[[noreturn]] void fail_without_place(const std::string& path, const HfFamily& family,
                                     const std::string& name) {
  fail(ErrorCode::kUnsupported, "{}: tensor '{}' has no place in a model of type '{}'", path,
       printable(name), family.model_type);
}

// The tensors of `stored` that the model has a place for.
void adopt_tensors(SafetensorsModel stored, const HfFamily& family, bool tied, TensorTable& table) {
  for (SafetensorsTensor& tensor : stored.tensors) {
    const std::string& path =
        stored.files[static_cast<std::size_t>(index_of(tensor.extent.file))].path;
    if (is_derived(family, tensor.name)) continue;
    std::optional<PlacedName> placed = place_name(family, tensor.name);
    if (!placed) fail_without_place(path, family, tensor.name);
    if (tied && placed->name == "output.weight") continue;  // a copy of the embedding
    const std::optional<DType> type = dtype_of_safetensors(tensor.type);
    if (!type) {
      fail(ErrorCode::kUnsupported, "{}: tensor '{}' has the type {}; supported: F32, F16, BF16",
           path, printable(tensor.name), tensor.type);
    }
    table.tensors.push_back({std::move(placed->name), *type, std::move(tensor.shape), tensor.extent,
                             std::move(tensor.name), placed->transposed});
  }
  table.files = std::move(stored.files);
  table.header_bytes += stored.header_bytes;
  table.build_index();
}

// 'attention_bias' decides what transformers loads and computes, whatever the tensors are.
void check_biases(const Json& config, const std::string& config_path, const TensorTable& table) {
  const bool wanted = JsonReader(config, config_path).flag("attention_bias").value_or(false);
  for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output"}) {
    const std::string bias = fmt::format("blk.0.{}.bias", name);
    if ((table.find(bias) != kNoTensor) == wanted) continue;
    fail(ErrorCode::kBadFile, "{}: 'attention_bias' is {}, but tensor '{}' is {}", config_path,
         wanted, table.shown_name(bias), wanted ? "missing" : "there");
  }
}

// What the sizes that the tensors are checked against do not cover.
void check_against_config(const Json& config, const std::string& config_path, bool tied,
                          const HfFamily& family, const TensorTable& table) {
  const std::int64_t n_vocab = config.at("vocab_size").get<std::int64_t>();
  const TensorId embedding = table.find("token_embd.weight");
  if (embedding != kNoTensor && table.at(embedding).n_rows() != n_vocab) {
    fail(ErrorCode::kBadFile, "{}: 'vocab_size' is {}, but tensor '{}' has {} rows", config_path,
         n_vocab, table.shown_name("token_embd.weight"), table.at(embedding).n_rows());
  }
  if (!tied && table.find("output.weight") == kNoTensor) {
    fail(ErrorCode::kBadFile,
         "{}: the output is not tied to the embedding ('tie_word_embeddings'), but tensor "
         "'lm_head.weight' is missing",
         config_path);
  }
  if (family.defaults.states_bias) check_biases(config, config_path, table);
  const std::string layers_key = std::string(family.architecture) + ".block_count";
  const std::int64_t n_layers = table.require_int(layers_key, 1, INT32_MAX);
  const std::string next = fmt::format("blk.{}.", n_layers);
  for (const TensorInfo& tensor : table.tensors) {
    if (!tensor.name.starts_with(next)) continue;
    fail(ErrorCode::kBadFile, "{}: gives {} layers, but there is a tensor '{}'", config_path,
         n_layers, printable(tensor.stored_name));
  }
}

constexpr const char* kTemplateKey = "tokenizer.chat_template";
constexpr const char* kToolTemplateKey = "tokenizer.chat_template.tool_use";

// A string, or a list of named ones of which "default" is for conversations and "tool_use" for
// those with tools.
void read_listed_templates(const Json& tokenizer_config, TensorTable& table) {
  const auto found = tokenizer_config.find("chat_template");
  if (found == tokenizer_config.end()) return;
  if (found->is_string()) table.metadata[kTemplateKey] = found->get<std::string>();
  if (!found->is_array()) return;
  for (const Json& entry : *found) {
    const bool named = entry.is_object() && entry.contains("name") && entry.contains("template");
    if (!named || !entry["template"].is_string()) continue;
    const std::string text = entry["template"].get<std::string>();
    if (entry["name"] == "default") table.metadata[kTemplateKey] = text;
    if (entry["name"] == "tool_use") table.metadata[kToolTemplateKey] = text;
  }
}

// As transformers does: where there are files of templates, they alone count.
void read_chat_templates(const std::string& folder, TensorTable& table) {
  const std::string own_file = folder + "/chat_template.jinja";
  const std::string tool_file = folder + "/additional_chat_templates/tool_use.jinja";
  if (is_file(own_file))
    table.metadata[kTemplateKey] = read_small_file(own_file, kMaxTemplateBytes);
  if (is_file(tool_file)) {
    table.metadata[kToolTemplateKey] = read_small_file(tool_file, kMaxTemplateBytes);
  }
  if (is_file(own_file) || is_file(tool_file)) return;
  const Json config = read_optional(folder + "/tokenizer_config.json", kMaxTokenizerConfigBytes);
  if (config.is_object()) read_listed_templates(config, table);
}

const HfFamily& family_of(const JsonReader& config) {
  const std::optional<std::string> model_type = config.text({"model_type"});
  if (!model_type) fail(ErrorCode::kBadFile, "{}: 'model_type' is missing", config.path());
  return find_hf_family(*model_type, config.path());
}

}  // namespace

bool is_hf_folder(const std::string& path) { return is_file(path + "/config.json"); }

TensorTable make_hf_table(const Json& config, const std::string& config_path,
                          SafetensorsModel stored) {
  const HfFamily& family = family_of(JsonReader(config, config_path));
  TensorTable table;
  table.folder = std::filesystem::path(config_path).parent_path().string();
  table.conventions = family.conventions;
  table.stored_name_of = [&family](std::string_view name) { return stored_name(family, name); };
  table.metadata["general.name"] = name_of(table.folder);
  read_hf_config(config, config_path, family, table);
  const bool tied = is_tied(config, family);
  adopt_tensors(std::move(stored), family, tied, table);
  check_against_config(config, config_path, tied, family, table);
  return table;
}

TensorTable read_hf_folder(const std::string& folder) {
  const std::string config_path = folder + "/config.json";
  const Json config = parse_json(read_small_file(config_path, kMaxConfigBytes), config_path);
  family_of(JsonReader(config, config_path));  // a model of no known kind is refused by that first
  TensorTable table = make_hf_table(config, config_path, read_safetensors(folder));
  read_chat_templates(folder, table);
  return table;
}

}  // namespace windlass
