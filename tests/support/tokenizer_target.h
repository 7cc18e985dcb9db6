// What the tokenizer.json fuzzer and the corpus tests run over untrusted bytes: read, then encode a
// few texts.
#pragma once

#include <memory>
#include <sstream>
#include <string>

#include "src/base/check.h"
#include "src/base/error.h"
#include "src/text/hf_tokenizer.h"

namespace windlass::testing {

struct TokenizerResult {
  bool is_accepted = false;
  std::string error;  // why not
};

// Only a bug of ours leaves this other than by return: any exception but Error, or a failed check.
inline TokenizerResult run_tokenizer_target(const std::string& document) {
  const HfSource source{"memory.json",
                        [&] { return std::make_unique<std::istringstream>(document); }};
  TokenizerResult result;
  try {
    const TextTokenizer tokenizer(read_hf_tokenizer(source));
    result.is_accepted = true;
    for (const char* text :
         {"", "Hello world 123", "<s> a\xC2\xA0 \xE2\x96\x81z", "aaaaaaaa e\xCC\x81"}) {
      for (const bool special : {false, true}) {
        for (const std::int32_t id : tokenizer.encode(text, {special, special})) {
          WINDLASS_CHECK(id >= 0 && id < tokenizer.n_vocab(), id, tokenizer.n_vocab());
          static_cast<void>(tokenizer.token_bytes(id, true));
        }
      }
    }
    WINDLASS_CHECK(tokenizer.size_bytes() > 0);
  } catch (const Error& error) {
    result.error = error.what();
    WINDLASS_CHECK(!result.error.empty() && result.error.find('\n') == std::string::npos,
                   result.error);
  }
  return result;
}

}  // namespace windlass::testing
