// Conversations to prompt text, as the model's own template says.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/format/tensor_table.h"
#include "src/text/jinja/template.h"
#include "src/text/tokenizer.h"

namespace windlass {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

// What templates name besides the conversation: variables and their values. One that is not there
// is undefined for the template.
struct ChatTokens {
  std::optional<std::string> bos = "", eos = "";
  // pad_token, unk_token and so on; additional_special_tokens is a list.
  nlohmann::ordered_json others = nlohmann::ordered_json::object();
};
// Of a folder what tokenizer_config.json names, as transformers' special_tokens_map: a null is no
// token, and where BOS or EOS are not mentioned they are the tokenizer's. Of a GGUF BOS and EOS
// (empty where it has none) and, where it has them, padding and unknown token.
ChatTokens chat_tokens(const TensorTable& table, const Tokenizer& tokenizer);

// Immutable; render() is thread-safe.
class ChatTemplate {
 public:
  // source: Jinja. name: of the template in messages. Errors as jinja::Template's.
  ChatTemplate(std::string_view source, const std::string& name, ChatTokens tokens);

  // messages: an array in the form of OpenAI's chat requests, which may hold tool calls and content
  // of several parts. tools: an array of function descriptions, or null. Byte for byte what
  // transformers renders. Error(kUsage) with the template's own words when it refuses the
  // conversation; all errors name its line.
  std::string render_json(const nlohmann::ordered_json& messages,
                          const nlohmann::ordered_json& tools, bool add_generation_prompt) const;
  // The same, of messages that are plain text.
  std::string render(const std::vector<ChatMessage>& messages, const nlohmann::ordered_json& tools,
                     bool add_generation_prompt) const;

 private:
  jinja::Template template_;
  ChatTokens tokens_;
};

// The template that the file holds (tokenizer.chat_template; with tools, the one named tool_use
// where there is one); null when it holds none.
std::unique_ptr<ChatTemplate> make_chat_template(const TensorTable& table, const ChatTokens& tokens,
                                                 bool with_tools);
// A built-in one by its name ("chatml"); null for another name.
std::unique_ptr<ChatTemplate> make_builtin_chat_template(std::string_view name,
                                                         const ChatTokens& tokens);
// The built-in one that renders a few conversations (with and without system message, tools, an
// answer to come) as `source` does, whatever its text; empty where none does, or it is no template.
std::string_view equal_builtin_chat_template(std::string_view source);
// "chatml, llama-3, ..."
std::string builtin_chat_template_names();

}  // namespace windlass
