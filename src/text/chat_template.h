// Conversations to prompt text, as the model's own template says.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "src/format/tensor_table.h"

namespace windlass {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

class ChatTemplate {
 public:
  virtual ~ChatTemplate() = default;
  // Byte for byte what the template's Jinja source renders.
  virtual std::string render(const std::vector<ChatMessage>& messages,
                             bool add_generation_prompt) const = 0;
};

// Recognises the template source (tokenizer.chat_template). Now: SmolLM2's ChatML and plain ChatML.
// Error(kUnsupported) for others, with the way out (--raw).
std::unique_ptr<ChatTemplate> make_chat_template(const std::string& source);
// Null when the file has no template.
std::unique_ptr<ChatTemplate> make_chat_template(const TensorTable& table);

}  // namespace windlass
