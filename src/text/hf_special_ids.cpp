// Ids by name or by number.
#include "src/text/hf_special_ids.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "src/text/hf_document.h"

namespace windlass {
namespace {

using Json = nlohmann::json;

bool is_id(const Json& value, const TokenizerParts& parts) {
  return value.is_number_integer() && value >= 0 && value < parts.n_vocab;
}

// "eos_token_id": an id or a list of them.
void add_ends(const Json& config, TokenizerParts& parts) {
  const auto found = config.find("eos_token_id");
  if (found == config.end()) return;
  const Json ids = found->is_array() ? *found : Json::array({*found});
  for (const Json& id : ids) {
    if (is_id(id, parts)) parts.end_ids.push_back(id.get<std::int32_t>());
  }
}

}  // namespace

std::optional<std::int32_t> find_hf_special_id(const Json& config, const char* key,
                                               const TokenizerParts& parts) {
  const auto found = config.find(key);
  if (found == config.end()) return std::nullopt;
  if (is_id(*found, parts)) return found->get<std::int32_t>();
  const Json& text =
      found->is_object() && found->contains("content") ? (*found)["content"] : *found;
  if (!text.is_string()) return std::nullopt;
  return token_id_of(parts, text.get_ref<const std::string&>());
}

void read_hf_special_ids(const std::string& folder, TokenizerParts& parts) {
  const auto read = [&](const char* file) {
    Json config = read_hf_settings((std::filesystem::path(folder) / file).string());
    return config.is_null() ? Json::object() : config;
  };
  const Json names = read("tokenizer_config.json");
  parts.bos_id = find_hf_special_id(names, "bos_token", parts);
  parts.eos_id = find_hf_special_id(names, "eos_token", parts);
  const auto adds_bos = names.find("add_bos_token");
  if (!parts.has_template && parts.bos_id && adds_bos != names.end() && *adds_bos == true) {
    parts.prefix_ids.push_back(*parts.bos_id);
  }
  for (const char* file : {"generation_config.json", "config.json"}) {
    const Json config = read(file);
    if (!parts.bos_id) parts.bos_id = find_hf_special_id(config, "bos_token_id", parts);
    if (!parts.eos_id) parts.eos_id = find_hf_special_id(config, "eos_token_id", parts);
    add_ends(config, parts);
  }
  if (parts.eos_id) parts.end_ids.push_back(*parts.eos_id);
  add_end_ids(*parts.special, parts.end_ids);
}

std::optional<std::int32_t> token_id_of(const TokenizerParts& parts, std::string_view text) {
  for (std::int32_t id = 0; id < parts.n_vocab; ++id) {
    std::string_view token = parts.vocabulary->token(id);
    if (token == text) return id;
    // A WordPiece token that begins a word is held with a space before it.
    const bool is_text = parts.vocabulary->type(id) == TokenType::kNormal;
    if (is_text && token.starts_with(' ') && token.substr(1) == text) return id;
  }
  return std::nullopt;
}

}  // namespace windlass
