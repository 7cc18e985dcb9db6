// The chat template that a command line asks for, and conversations as token ids.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "src/model/model.h"
#include "src/text/chat_template.h"
#include "tools/command.h"

namespace windlass {

// Thread-compatible. The tokenizer must outlive it.
class ChatPrompt {
 public:
  // The template of --chat-template (a built-in's name or a file), else the model's own.
  // Error(kUnsupported) when the model has none, Error(kUsage) for a --tools file that is no array
  // of functions.
  ChatPrompt(const Invocation& invocation, const Model& model, const Tokenizer& tokenizer);

  // The conversation up to where the assistant's next words begin. Error(kUsage) when the template
  // renders nothing.
  std::vector<std::int32_t> ids(const std::vector<ChatMessage>& messages) const;

 private:
  const Tokenizer& tokenizer_;
  nlohmann::ordered_json tools_;  // null: none
  std::unique_ptr<ChatTemplate> template_;
};

}  // namespace windlass
