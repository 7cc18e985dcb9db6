#include "tools/chat_prompt.h"

#include <filesystem>

#include "src/base/error.h"
#include "src/base/units.h"
#include "tools/files.h"

namespace windlass {
namespace {

// A tool's description is some hundred bytes; what is beyond this is another file.
const TextLimit kToolsLimit = {kMiB, "the most that a list of tools may hold"};
const TextLimit kTemplateLimit = {jinja::kMaxSourceBytes, "the most that a chat template may hold"};

constexpr int kMostToolsDepth = 256;

// Refuses integers that the parser would round or wrap, by name, and great depth.
class ToolsCheck final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit ToolsCheck(const std::string& path) : path_(path) {}

  bool number_unsigned(number_unsigned_t value) override {
    if (value > INT64_MAX) refuse(fmt::format("{}", value));
    return true;
  }
  bool number_float(number_float_t, const string_t& text) override {
    if (text.find_first_of(".eE") == std::string::npos) refuse(text);
    return true;
  }
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return deeper(); }
  bool key(string_t&) override { return true; }
  bool end_object() override { return shallower(); }
  bool start_array(std::size_t) override { return deeper(); }
  bool end_array() override { return shallower(); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception&) override {
    return false;  // the parser after it says so
  }

 private:
  [[noreturn]] void refuse(const std::string& number) const {
    fail(ErrorCode::kUsage, "{}: the integer {} has more than 64 bits, which is not supported",
         path_, number.substr(0, 64));
  }
  bool deeper() {
    if (++depth_ <= kMostToolsDepth) return true;
    fail(ErrorCode::kUsage, "{}: nested more than {} deep", path_, kMostToolsDepth);
  }
  bool shallower() {
    --depth_;
    return true;
  }

  const std::string& path_;
  int depth_ = 0;
};

nlohmann::ordered_json read_tools(const std::string& path) {
  if (path.empty()) return nullptr;
  const std::string text = read_text_file(path, kToolsLimit);
  ToolsCheck check(path);
  nlohmann::json::sax_parse(text, &check);
  auto tools = nlohmann::ordered_json::parse(text, nullptr, false);
  if (!tools.is_array()) fail(ErrorCode::kUsage, "{} is not a JSON array of tools", path);
  for (std::size_t i = 0; i < tools.size(); ++i) {
    if (!tools[i].is_object()) fail(ErrorCode::kUsage, "{}: tool {} is not a JSON object", path, i);
  }
  return tools;
}

std::unique_ptr<ChatTemplate> given_template(const std::string& choice, const ChatTokens& tokens) {
  if (auto builtin = make_builtin_chat_template(choice, tokens)) return builtin;
  if (choice != "-" && !std::filesystem::exists(choice)) {
    fail(ErrorCode::kUsage, "--chat-template {}: neither a file nor one of {}", choice,
         builtin_chat_template_names());
  }
  return std::make_unique<ChatTemplate>(read_text_file(choice, kTemplateLimit), choice, tokens);
}

std::unique_ptr<ChatTemplate> choose_template(const Invocation& invocation, const Model& model,
                                              const ChatTokens& tokens, bool with_tools) {
  const std::string& choice = invocation.options.chat_template;
  if (!choice.empty()) return given_template(choice, tokens);
  if (auto own = make_chat_template(model.tensors, tokens, with_tools)) return own;
  fail(ErrorCode::kUnsupported,
       "{} has no chat template: give one with --chat-template (a file, or {}), or leave it out "
       "with --raw",
       model.path, builtin_chat_template_names());
}

// Tools that leave a conversation as it is would be ignored.
void require_tools_to_act(const ChatTemplate& chat_template, const nlohmann::ordered_json& tools,
                          const std::string& model) {
  if (tools.is_null()) return;
  const std::vector<ChatMessage> messages = {{"user", "x"}};
  std::string without;
  try {
    without = chat_template.render(messages, nullptr, true);
  } catch (const Error&) {
    return;  // a template that needs tools names them
  }
  if (chat_template.render(messages, tools, true) != without) return;
  fail(ErrorCode::kUsage,
       "--tools cannot act: the chat template of {} does not name tools; --chat-template gives one "
       "that does (qwen2.5-tools, or a file)",
       model);
}

}  // namespace

ChatPrompt::ChatPrompt(const Invocation& invocation, const Model& model, const Tokenizer& tokenizer)
    : tokenizer_(tokenizer),
      tools_(read_tools(invocation.options.tools)),
      template_(choose_template(invocation, model, chat_tokens(model.tensors, tokenizer),
                                !tools_.is_null())) {
  require_utf8(invocation.options.system_prompt, "-sys");
  require_tools_to_act(*template_, tools_, model.path);
}

std::vector<std::int32_t> ChatPrompt::ids(const std::vector<ChatMessage>& messages) const {
  const std::string text = template_->render(messages, tools_, true);
  if (text.empty())
    fail(ErrorCode::kUsage, "the chat template renders this conversation to nothing");
  return tokenizer_.encode(text, {});
}

}  // namespace windlass
