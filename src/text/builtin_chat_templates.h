// Chat templates by name, for models whose file has none: our own texts of public prompt formats.
#pragma once

#include <span>
#include <string_view>

namespace windlass {

struct BuiltinChatTemplate {
  std::string_view name;    // "chatml"
  std::string_view source;  // Jinja
};

std::span<const BuiltinChatTemplate> builtin_chat_templates();

}  // namespace windlass
