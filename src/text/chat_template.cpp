// Chat templates that are recognised by their source and rendered by code. An engine for other
// templates would be one more ChatTemplate behind make_chat_template.
#include "src/text/chat_template.h"

#include "src/base/error.h"

namespace windlass {
namespace {

#define WINDLASS_CHATML_PROMPT \
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"

struct ChatMlSource {
  std::string_view source;
  // Goes first where the conversation has no system message of its own; empty: nothing does.
  std::string_view default_system;
};

constexpr ChatMlSource kChatMlSources[] = {
    // SmolLM2-*-Instruct.
    {"{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
     "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
     "Face<|im_end|>\n' }}"
     "{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + "
     "'\n'}}{% endfor %}" WINDLASS_CHATML_PROMPT,
     "You are a helpful AI assistant named SmolLM, trained by Hugging Face"},
    // Plain ChatML, in the two spellings in use.
    {"{% for message in messages %}"
     "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% "
     "endfor %}" WINDLASS_CHATML_PROMPT,
     ""},
    {"{% for m in messages %}"
     "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor "
     "%}" WINDLASS_CHATML_PROMPT,
     ""},
};
#undef WINDLASS_CHATML_PROMPT

class ChatMl final : public ChatTemplate {
 public:
  explicit ChatMl(std::string_view default_system) : default_system_(default_system) {}

  std::string render(const std::vector<ChatMessage>& messages,
                     bool add_generation_prompt) const override {
    std::string text;
    if (!default_system_.empty() && !messages.empty() && messages[0].role != "system") {
      append(text, "system", default_system_);
    }
    for (const ChatMessage& message : messages) append(text, message.role, message.content);
    if (add_generation_prompt) text += "<|im_start|>assistant\n";
    return text;
  }

 private:
  static void append(std::string& text, std::string_view role, std::string_view content) {
    text += "<|im_start|>";
    text += role;
    text += '\n';
    text += content;
    text += "<|im_end|>\n";
  }

  std::string_view default_system_;  // of kChatMlSources
};

// In Jinja's string literals a newline and its escape mean the same, and files have either.
std::string with_plain_newlines(std::string_view source) {
  std::string plain;
  for (std::size_t i = 0; i < source.size(); ++i) {
    const bool is_escape = source.substr(i, 2) == "\\n";
    plain += is_escape ? '\n' : source[i];
    if (is_escape) ++i;
  }
  return plain;
}

}  // namespace

std::unique_ptr<ChatTemplate> make_chat_template(const std::string& source) {
  const std::string plain = with_plain_newlines(source);
  for (const ChatMlSource& known : kChatMlSources) {
    if (plain == known.source) return std::make_unique<ChatMl>(known.default_system);
  }
  fail(ErrorCode::kUnsupported,
       "the model's chat template ({} bytes) is none that this build renders (SmolLM2's and plain "
       "ChatML); "
       "give a prompt that is already formatted, with --raw",
       source.size());
}

std::unique_ptr<ChatTemplate> make_chat_template(const TensorTable& table) {
  const std::string* source = table.find_string("tokenizer.chat_template");
  return source == nullptr ? nullptr : make_chat_template(*source);
}

}  // namespace windlass
