// What the grammar fuzzers and the corpus tests run over untrusted text: compile it, and let a toy
// vocabulary be walked for some tokens.
#pragma once

#include <string>
#include <string_view>

#include "src/base/check.h"
#include "src/base/error.h"
#include "src/text/grammar/gbnf.h"
#include "src/text/grammar/json_schema.h"
#include "src/text/grammar/token_filter.h"
#include "tests/support/toy_tokenizer.h"

namespace windlass::testing {

// The error's text, or nothing. Only a bug of ours leaves this other than by return.
inline std::string run_grammar_target(std::string_view text, bool is_schema) {
  static const ToyTokenizer kTokenizer = [] {
    std::vector<std::string> pieces;
    for (int byte = 0; byte < 256; ++byte) pieces.emplace_back(1, static_cast<char>(byte));
    for (const char* piece : {"ab", "abc", "\": ", "\"}", "12", "\xC3\xA9", "[[", "{\""})
      pieces.emplace_back(piece);
    return ToyTokenizer(pieces, {});
  }();
  try {
    TokenFilter filter(is_schema ? compile_grammar(json_schema_grammar(text), "JSON schema")
                                 : compile_grammar(parse_gbnf(text), "grammar"),
                       kTokenizer);
    for (std::int32_t i = 0; i < 24 && !filter.finished(); ++i) {
      filter.prepare();
      std::int32_t id = (i * 37) % kTokenizer.n_vocab();  // here and there in the vocabulary
      while (!filter.allows(id)) id = (id + 1) % kTokenizer.n_vocab();
      filter.accept(id);
    }
    return "";
  } catch (const Error& error) {
    const std::string message = error.what();
    WINDLASS_CHECK(!message.empty() && message.find('\n') == std::string::npos, message);
    return message;
  }
}

}  // namespace windlass::testing
