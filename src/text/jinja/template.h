// A Jinja template, as chat templates use the language (transformers' environment: an immutable
// sandbox, trim_blocks and lstrip_blocks, loop controls, generation tags). What Jinja has and this
// engine has not (inheritance, imports, autoescaping, a few filters for HTML) is an error that
// names the construct and its line. Integers have 64 bits.
#pragma once

#include <ctime>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "src/text/jinja/heap.h"

namespace windlass::jinja {

// Immutable; render() is thread-safe.
class Template {
 public:
  // name: of the template in messages ("the chat template of m.gguf"). Error(kBadFile, or
  // kUnsupported for what only this engine lacks): "NAME, line 3: unknown tag 'x'".
  Template(std::string_view source, std::string name);
  ~Template();
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;

  // variables: a JSON object. now: what strftime_now shows, in local time. Errors as above, and
  // Error(kUsage) for raise_exception: the template refuses what it is given. Bounded in time,
  // memory and stack by `limits`, whatever the template.
  std::string render(const nlohmann::ordered_json& variables, std::time_t now,
                     const Limits& limits = {}) const;

 private:
  struct Tree;
  std::string name_;
  std::unique_ptr<const Tree> tree_;
};

}  // namespace windlass::jinja
