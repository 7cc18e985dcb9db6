#include "src/text/chat_template.h"

#include <ctime>

#include "src/base/error.h"
#include "src/text/builtin_chat_templates.h"

namespace windlass {
namespace {

std::string token_text(const Tokenizer& tokenizer, std::optional<std::int32_t> id) {
  return id ? std::string(tokenizer.token_bytes(*id, true)) : std::string();
}

using Json = nlohmann::ordered_json;

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

ChatTokens chat_tokens(const Tokenizer& tokenizer) {
  return {token_text(tokenizer, tokenizer.bos_id()), token_text(tokenizer, tokenizer.eos_id())};
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
  variables["bos_token"] = tokens_.bos;
  variables["eos_token"] = tokens_.eos;
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
