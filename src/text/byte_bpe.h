// Byte-level BPE (tokenizer.ggml.model = "gpt2"): special tokens, pre-tokenizer, then merges over
// bytes.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "src/text/bpe_merger.h"
#include "src/text/merge_table.h"
#include "src/text/pre_tokenizer.h"
#include "src/text/special_tokens.h"
#include "src/text/tokenizer.h"
#include "src/text/vocabulary.h"
#include "src/text/word_cache.h"

namespace windlass {

class ByteBpe final : public Tokenizer {
 public:
  // Reads tokenizer.ggml.*; errors as make_tokenizer's.
  explicit ByteBpe(const TensorTable& table);
  ByteBpe(const ByteBpe&) = delete;  // members refer to one another
  ByteBpe& operator=(const ByteBpe&) = delete;

  std::vector<std::int32_t> encode(std::string_view text,
                                   const TokenizeOptions& options) const override;
  std::string_view token_bytes(std::int32_t id, bool special) const override;
  std::int32_t n_vocab() const override { return vocabulary_.n_tokens(); }
  std::optional<std::int32_t> bos_id() const override { return bos_id_; }
  std::optional<std::int32_t> eos_id() const override { return eos_id_; }
  bool adds_bos() const override { return adds_bos_; }
  bool is_end_of_generation(std::int32_t id) const override;
  std::optional<std::int32_t> special_id(std::string_view text) const override;
  std::int64_t size_bytes() const override;

 private:
  void read_merges(const TensorTable& table);
  void read_special_ids(const TensorTable& table);
  void encode_plain(std::string_view text, std::vector<std::int32_t>& ids) const;
  void encode_word(std::string_view word, std::vector<std::int32_t>& ids) const;

  Vocabulary vocabulary_;
  SpecialTokens specials_;
  MergeTable merges_;
  PreTokenizer pre_tokenizer_;
  std::array<std::int32_t, 256>
      byte_ids_{};  // the token of a single byte; -1: the vocabulary has none
  std::optional<std::int32_t> bos_id_;
  std::optional<std::int32_t> eos_id_;
  bool adds_bos_ = false;
  bool adds_eos_ = false;
  std::vector<std::int32_t> end_ids_;
  // What encode() works with; the reason why the class is not thread-safe.
  mutable BpeMerger merger_;
  mutable WordCache cache_;
};

}  // namespace windlass
