// Text to token ids and back. One interface, whatever the file and the method.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/format/tensor_table.h"

namespace windlass {

struct TokenizeOptions {
  bool parse_special =
      true;  // special tokens in the text become their ids; else they are text like any other
  bool add_special = false;  // BOS (and EOS) as the file's metadata says
};

// Thread-compatible: const methods may run in parallel only on separate objects (PCRE2 match data
// is shared inside).
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // text must be valid UTF-8; invalid bytes are each replaced by U+FFFD, as llama.cpp does. May
  // hold NUL.
  virtual std::vector<std::int32_t> encode(std::string_view text,
                                           const TokenizeOptions& options) const = 0;
  // The exact bytes of a token. Special (control) tokens give their text if `special`, else
  // nothing; so does an id past the vocabulary, which an embedding with spare rows has. Where the
  // tokenizer puts a space before a text, the bytes of its tokens begin with that space. REQUIRES:
  // id >= 0.
  virtual std::string_view token_bytes(std::int32_t id, bool special) const = 0;
  virtual std::int32_t n_vocab() const = 0;
  virtual std::optional<std::int32_t> bos_id() const = 0;
  virtual std::optional<std::int32_t> eos_id() const = 0;
  virtual bool adds_bos() const = 0;  // the metadata's rule for add_special
  // Ends generation: EOS, and the end-of-turn token where the vocabulary has one ("<|im_end|>",
  // "<|eot_id|>", ...).
  virtual bool is_end_of_generation(std::int32_t id) const = 0;
  // Id of a special token by its text.
  virtual std::optional<std::int32_t> special_id(std::string_view text) const = 0;
  // Heap bytes held, for the budget ("tables").
  virtual std::int64_t size_bytes() const = 0;
};

// Reads tokenizer.ggml.*; where the file has none, the tokenizer.json in its folder.
// Error(kUnsupported) naming an unknown model, pre-tokenizer or setting, the nearest one known and
// the supported ones; Error(kBadFile) for a malformed vocabulary. Memory: no second copy of a
// GGUF's vocabulary at any time (a 64 MiB budget runs SmolLM2's 49,152 tokens with under 6 MiB of
// tables); a tokenizer.json's text of tokens once more while it is read.
std::unique_ptr<Tokenizer> make_tokenizer(const TensorTable& table);
// Is there one to make? (It may still be refused.)
bool has_tokenizer(const TensorTable& table);
// By path: a GGUF file, a tokenizer.json, or a folder that holds one.
std::unique_ptr<Tokenizer> read_tokenizer(const std::string& path);

// Holds back bytes until they form whole UTF-8 characters, so that streamed text never splits one.
// A byte that can never complete a character comes out as U+FFFD.
class StreamingDetokenizer {
 public:
  // special: control tokens come out as their text.
  explicit StreamingDetokenizer(const Tokenizer& tokenizer, bool special = false)
      : tokenizer_(tokenizer), special_(special) {}
  // The text that became whole with this token; may be empty. An id past the vocabulary has no
  // text: models may have more rows than tokens, to fill up to a round number.
  std::string push(std::int32_t id);
  // What is left at the end: an unfinished character as U+FFFD.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  bool special_;
  std::string pending_;
};

}  // namespace windlass
