// The tokens of a model: bytes and type of each id, in three flat arrays. Knows no tokenization
// method.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace windlass {

// tokenizer.ggml.token_type, by GGUF's numbers.
enum class TokenType : std::uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

// Thread-compatible. Costs the tokens' bytes plus 5 B a token.
class Vocabulary {
 public:
  // Room for n_tokens tokens of n_bytes in all; appending within it allocates nothing.
  void reserve(std::int64_t n_tokens, std::int64_t n_bytes);
  // Where the next token's bytes are appended; end_token() closes it. Its bytes must stay below 4
  // GiB in all.
  std::vector<char>& bytes() { return bytes_; }
  void end_token(TokenType type);
  // Gives back what was reserved and not used.
  void shrink();

  std::int32_t n_tokens() const { return static_cast<std::int32_t>(types_.size()); }
  // REQUIRES: 0 <= id < n_tokens(). The view lives as long as the vocabulary stays where it is.
  std::string_view token(std::int32_t id) const;
  TokenType type(std::int32_t id) const;
  std::int64_t size_bytes() const;

 private:
  std::vector<char> bytes_;
  std::vector<std::uint32_t> begin_{0};  // token id's bytes are [begin_[id], begin_[id + 1])
  std::vector<TokenType> types_;
};

// Token bytes to id: 8 to 16 B a token. The vocabulary must outlive it; tokens that it gets later
// are not found. Of equal tokens a normal one wins over a special one, then the lowest id.
class TokenIndex {
 public:
  // only_text: leaves out all but normal and unused tokens.
  explicit TokenIndex(const Vocabulary& vocabulary, bool only_text = false);
  std::optional<std::int32_t> find(std::string_view bytes) const;
  std::int64_t size_bytes() const {
    return static_cast<std::int64_t>(slots_.capacity() * sizeof(slots_[0]));
  }

 private:
  std::size_t slot_of(
      std::string_view bytes) const;  // where it is, or the empty slot where it would be

  const Vocabulary& vocabulary_;
  std::vector<std::int32_t> slots_;  // -1: empty; a power of two of them, at most half full
};

}  // namespace windlass
