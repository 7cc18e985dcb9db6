#include "src/text/chat_template.h"

#include <ctime>

#include "src/base/error.h"
#include "src/text/builtin_chat_templates.h"
#include "src/text/hf_document.h"

namespace windlass {
namespace {

using Json = nlohmann::ordered_json;

std::string token_text(const Tokenizer& tokenizer, std::optional<std::int32_t> id) {
  return id ? std::string(tokenizer.token_bytes(*id, true)) : std::string();
}

// A token in tokenizer_config.json: its text, or an object with that as "content".
std::optional<std::string> named_text(const nlohmann::json& value) {
  const bool is_object = value.is_object() && value.contains("content");
  const nlohmann::json& text = is_object ? value["content"] : value;
  return text.is_string() ? std::optional(text.get<std::string>()) : std::nullopt;
}

ChatTokens folder_tokens(const nlohmann::json& names, const Tokenizer& tokenizer) {
  const auto stated = [&](const char* key, std::optional<std::int32_t> id) {
    if (names.contains(key)) return named_text(names[key]);
    return id ? std::optional(token_text(tokenizer, id)) : std::nullopt;
  };
  ChatTokens tokens{stated("bos_token", tokenizer.bos_id()),
                    stated("eos_token", tokenizer.eos_id())};
  for (const char* key : {"unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}) {
    if (!names.contains(key)) continue;
    if (const auto text = named_text(names[key])) tokens.others[key] = *text;
  }
  const auto more = names.find("additional_special_tokens");
  if (more == names.end() || !more->is_array() || more->empty()) return tokens;
  Json& list = tokens.others["additional_special_tokens"] = Json::array();
  for (const nlohmann::json& entry : *more) {
    if (const auto text = named_text(entry)) list.push_back(*text);
  }
  return tokens;
}

// What templates treat differently. A refusal is part of the answer.
std::vector<std::string> probe_renderings(std::string_view source) {
  const Json system = {{"role", "system"}, {"content", "Be brief."}};
  const Json question = {{"role", "user"}, {"content", " Why? "}};
  const Json answer = {{"role", "assistant"}, {"content", "Because.\n"}};
  const Json tools = Json::parse(R"([{"type": "function", "function": {"name": "f", "parameters":
      {"type": "object", "properties": {"x": {"type": "string"}}}}}])");
  const ChatTemplate rendering(source, "chat template", {"<bos>", "<eos>"});
  std::vector<std::string> texts;
  for (const Json& messages : {Json::array({question}), Json::array({question, answer, question}),
                               Json::array({system, question}),
                               Json::array({system, question, answer}), Json::array({answer})}) {
    for (const bool with_tools : {false, true}) {
      for (const bool prompts : {false, true}) {
        try {
          texts.push_back(
              rendering.render_json(messages, with_tools ? tools : Json(nullptr), prompts));
        } catch (const Error&) {
          texts.emplace_back("refused");
        }
      }
    }
  }
  return texts;
}

}  // namespace

ChatTokens chat_tokens(const TensorTable& table, const Tokenizer& tokenizer) {
  if (!table.folder.empty()) {
    const nlohmann::json names = read_hf_settings(table.folder + "/tokenizer_config.json");
    return folder_tokens(names.is_null() ? nlohmann::json::object() : names, tokenizer);
  }
  ChatTokens tokens{token_text(tokenizer, tokenizer.bos_id()),
                    token_text(tokenizer, tokenizer.eos_id())};
  const auto add = [&](const char* name, const char* key) {
    const auto id = table.find_int(key, 0, INT32_MAX);
    if (!id) return;
    tokens.others[name] = token_text(tokenizer, static_cast<std::int32_t>(*id));
  };
  add("pad_token", "tokenizer.ggml.padding_token_id");
  add("unk_token", "tokenizer.ggml.unknown_token_id");
  return tokens;
}

ChatTemplate::ChatTemplate(std::string_view source, const std::string& name, ChatTokens tokens)
    : template_(source, name), tokens_(std::move(tokens)) {}

std::string ChatTemplate::render_json(const nlohmann::ordered_json& messages,
                                      const nlohmann::ordered_json& tools,
                                      bool add_generation_prompt) const {
  nlohmann::ordered_json variables;
  variables["messages"] = messages;
  variables["tools"] = tools;
  variables["documents"] = nullptr;
  variables["add_generation_prompt"] = add_generation_prompt;
  if (tokens_.bos) variables["bos_token"] = *tokens_.bos;
  if (tokens_.eos) variables["eos_token"] = *tokens_.eos;
  variables.update(tokens_.others);
  return template_.render(variables, std::time(nullptr));
}

std::string ChatTemplate::render(const std::vector<ChatMessage>& messages,
                                 const nlohmann::ordered_json& tools,
                                 bool add_generation_prompt) const {
  nlohmann::ordered_json array = nlohmann::ordered_json::array();
  for (const ChatMessage& message : messages)
    array.push_back({{"role", message.role}, {"content", message.content}});
  return render_json(array, tools, add_generation_prompt);
}

std::unique_ptr<ChatTemplate> make_chat_template(const TensorTable& table, const ChatTokens& tokens,
                                                 bool with_tools) {
  const std::string* source = nullptr;
  if (with_tools) source = table.find_string("tokenizer.chat_template.tool_use");
  if (source == nullptr) source = table.find_string("tokenizer.chat_template");
  if (source == nullptr) return nullptr;
  const std::string file = table.files.empty() ? "the model" : table.files[0].path;
  return std::make_unique<ChatTemplate>(*source, file + ": chat template", tokens);
}

std::unique_ptr<ChatTemplate> make_builtin_chat_template(std::string_view name,
                                                         const ChatTokens& tokens) {
  for (const BuiltinChatTemplate& builtin : builtin_chat_templates()) {
    if (builtin.name != name) continue;
    return std::make_unique<ChatTemplate>(builtin.source, fmt::format("chat template '{}'", name),
                                          tokens);
  }
  return nullptr;
}

std::string_view equal_builtin_chat_template(std::string_view source) {
  std::vector<std::string> wanted;
  try {
    wanted = probe_renderings(source);
  } catch (const Error&) {
    return {};
  }
  for (const BuiltinChatTemplate& builtin : builtin_chat_templates()) {
    if (probe_renderings(builtin.source) == wanted) return builtin.name;
  }
  return {};
}

std::string builtin_chat_template_names() {
  std::string names;
  for (const BuiltinChatTemplate& builtin : builtin_chat_templates()) {
    if (!names.empty()) names += ", ";
    names += builtin.name;
  }
  return names;
}

}  // namespace windlass
