// windlass info: what a model file or folder holds, from its headers alone.
#include <fmt/format.h>

#include <filesystem>
#include <map>

#include "src/base/units.h"
#include "src/model/model.h"
#include "src/model/model_spec.h"
#include "src/text/chat_template.h"
#include "tools/files.h"
#include "tools/json_output.h"
#include "tools/session.h"

namespace windlass {
namespace {

struct TypeUse {
  std::int64_t tensors = 0, parameters = 0, size_bytes = 0;
};

struct Contents {
  std::map<std::string, TypeUse> by_type;
  TypeUse total;
  double bits_per_weight() const {
    return total.parameters > 0
               ? 8.0 * static_cast<double>(total.size_bytes) / static_cast<double>(total.parameters)
               : 0;
  }
};

void add_to(TypeUse& use, const TensorInfo& tensor) {
  use.tensors += 1;
  use.parameters += tensor.n_rows() * tensor.n_cols();
  use.size_bytes += tensor.extent.size_bytes;
}

Contents contents_of(const TensorTable& table) {
  Contents contents;
  for (const TensorInfo& tensor : table.tensors) {
    add_to(contents.by_type[std::string(dtype_info(tensor.type).name)], tensor);
    add_to(contents.total, tensor);
  }
  return contents;
}

// Names for the JSON keys and, with blanks for underscores, for people.
std::vector<std::pair<std::string, std::int64_t>> hyperparameters(const ModelSpec& spec) {
  std::vector<std::pair<std::string, std::int64_t>> all = {
      {"layers", spec.n_layers},     {"embd", spec.d_model},
      {"ffn", spec.d_ffn},           {"heads", spec.n_heads},
      {"kv_heads", spec.n_kv_heads}, {"head_dim", spec.head_dim},
      {"vocab", spec.n_vocab},       {"context_length", spec.context_length},
      {"rope_dims", spec.rope.dims}};
  if (spec.experts.n_experts > 0) {
    all.insert(all.end(), {{"experts", spec.experts.n_experts},
                           {"experts_used", spec.experts.n_used},
                           {"expert_ffn", spec.experts.d_ffn},
                           {"shared_ffn", spec.experts.d_shared},
                           {"dense_layers", spec.experts.n_dense_layers}});
  }
  return all;
}

std::string text_or(const std::string* text, const char* otherwise) {
  return text != nullptr ? *text : otherwise;
}

// The vocabulary's kind as a GGUF states it; a folder's is in a file of its own.
std::string tokenizer_of(const TensorTable& table) {
  const bool in_folder =
      !table.folder.empty() && std::filesystem::exists(table.folder + "/tokenizer.json");
  return text_or(table.find_string("tokenizer.ggml.model"), in_folder ? "tokenizer.json" : "");
}

// "chatml" for a template that renders as that built-in one does, else "custom"; empty: none.
std::string chat_template_of(const TensorTable& table) {
  const std::string* source = table.find_string("tokenizer.chat_template");
  if (source == nullptr) return "";
  const std::string_view builtin = equal_builtin_chat_template(*source);
  return builtin.empty() ? "custom" : std::string(builtin);
}

std::size_t chat_template_bytes(const TensorTable& table) {
  const std::string* source = table.find_string("tokenizer.chat_template");
  return source == nullptr ? 0 : source->size();
}

const char* format_of(const TensorTable& table) {
  return table.folder.empty() ? "gguf" : "huggingface";
}

nlohmann::json to_json(const TensorTable& table, const ModelSpec* spec, const Contents& contents) {
  nlohmann::json json;
  json["format"] = format_of(table);
  for (const ModelFile& file : table.files)
    json["files"].push_back({{"path", file.path}, {"bytes", file.size_bytes}});
  json["architecture"] = text_or(table.find_string("general.architecture"), "");
  json["name"] = text_or(table.find_string("general.name"), "");
  json["tokenizer"] = {{"model", tokenizer_of(table)},
                       {"pre", text_or(table.find_string("tokenizer.ggml.pre"), "")}};
  json["chat_template"] = {{"name", chat_template_of(table)},
                           {"bytes", chat_template_bytes(table)}};
  json["tensors"] = contents.total.tensors;
  json["parameters"] = contents.total.parameters;
  json["weight_bytes"] = contents.total.size_bytes;
  json["bits_per_weight"] = contents.bits_per_weight();
  for (const auto& [name, use] : contents.by_type) {
    json["types"][name] = {
        {"tensors", use.tensors}, {"parameters", use.parameters}, {"bytes", use.size_bytes}};
  }
  if (spec != nullptr) {
    for (const auto& [name, value] : hyperparameters(*spec)) json["hyperparameters"][name] = value;
    json["hyperparameters"]["rope_base"] = spec->rope.base;
  }
  return json;
}

std::string to_text(const TensorTable& table, const ModelSpec* spec, const Contents& contents) {
  std::string text = fmt::format("format        {}\n", format_of(table));
  for (const ModelFile& file : table.files)
    text += fmt::format("file          {} ({})\n", file.path, format_size(file.size_bytes));
  text +=
      fmt::format("architecture  {}\n", text_or(table.find_string("general.architecture"), "none"));
  text += fmt::format("name          {}\n", text_or(table.find_string("general.name"), "none"));
  const std::string tokenizer = tokenizer_of(table);
  text += fmt::format("tokenizer     {} {}\n", tokenizer.empty() ? "none" : tokenizer,
                      text_or(table.find_string("tokenizer.ggml.pre"), ""));
  const std::string chat_template = chat_template_of(table);
  text += chat_template.empty() ? "chat_template none\n"
                                : fmt::format("chat_template {} ({} bytes)\n", chat_template,
                                              chat_template_bytes(table));
  if (spec != nullptr) {
    for (const auto& [name, value] : hyperparameters(*spec))
      text += fmt::format("{:<13} {}\n", name, value);
    text += fmt::format("rope_base     {}\n", spec->rope.base);
  }
  text +=
      fmt::format("parameters    {:.1f} M, {:.2f} bits a weight, {} in {} tensors\n",
                  static_cast<double>(contents.total.parameters) / 1e6, contents.bits_per_weight(),
                  format_size(contents.total.size_bytes), contents.total.tensors);
  for (const auto& [name, use] : contents.by_type) {
    text +=
        fmt::format("  {:<11} {} in {} tensors\n", name, format_size(use.size_bytes), use.tensors);
  }
  return text;
}

}  // namespace

int info_command(const Invocation& invocation) {
  const TensorTable table = read_tensor_table(require_model(invocation.options));
  const bool has_weights = !table.tensors.empty();  // a vocabulary-only file is no model
  const ModelSpec spec = has_weights ? read_model_spec(table) : ModelSpec{};
  const ModelSpec* shown = has_weights ? &spec : nullptr;
  const Contents contents = contents_of(table);
  if (invocation.options.json) {
    print_json(to_json(table, shown, contents));
  } else {
    print(to_text(table, shown, contents));
  }
  return 0;
}

}  // namespace windlass
