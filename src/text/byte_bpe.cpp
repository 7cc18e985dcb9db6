// Byte-level BPE over flat tables, built by streaming the file's lists.
#include "src/text/byte_bpe.h"

#include <algorithm>

#include "src/base/error.h"
#include "src/format/gguf.h"
#include "src/text/byte_alphabet.h"
#include "src/text/utf8.h"

namespace windlass {
namespace {

constexpr const char* kTokens = "tokenizer.ggml.tokens";
constexpr const char* kTypes = "tokenizer.ggml.token_type";
constexpr const char* kMerges = "tokenizer.ggml.merges";

// The texts that end an answer in the families with byte-level BPE; a vocabulary that marks one as
// special means it.
constexpr std::string_view kEndTexts[] = {
    "<|im_end|>",      "<|eot_id|>",    "<|eom_id|>",
    "<|end|>",         "<|endoftext|>", "<|end_of_text|>",
    "<|end_of_turn|>", "<|return|>",    "<|call|>",
    "<end_of_turn>",   "</s>",          "<eos>",
    "<EOT>",           "[EOS]",         "<｜end▁of▁sentence｜>",
};

std::string file_of(const TensorTable& table) {
  return table.files.empty() ? std::string("the model file") : table.files[0].path;
}

const ArrayInfo& require_strings(const TensorTable& table, const char* key) {
  constexpr std::int32_t kGgufString = 8;
  const auto found = table.arrays.find(key);
  if (found == table.arrays.end() || found->second.element_type != kGgufString) {
    fail(ErrorCode::kBadFile, "{}: the vocabulary is incomplete: {} is no list of strings",
         file_of(table), key);
  }
  if (found->second.n_elements >= MergeTable::kNone) {
    fail(ErrorCode::kBadFile, "{}: {} has {} entries; the most is {}", file_of(table), key,
         found->second.n_elements, MergeTable::kNone - 1);
  }
  return found->second;
}

TokenType token_type(const TensorTable& table, const std::vector<std::int32_t>& types,
                     std::size_t id) {
  if (types.empty()) return TokenType::kNormal;
  if (types[id] < 1 || types[id] > 6) {
    fail(ErrorCode::kBadFile, "{}: {} of token {} is {}; known are 1 to 6", file_of(table), kTypes,
         id, types[id]);
  }
  return static_cast<TokenType>(types[id]);
}

Vocabulary read_vocabulary(const TensorTable& table) {
  const ArrayInfo& tokens = require_strings(table, kTokens);
  std::vector<std::int32_t> types;
  if (table.arrays.contains(kTypes)) types = read_int_array(table, kTypes);
  if (!types.empty() && types.size() != static_cast<std::size_t>(tokens.n_elements)) {
    fail(ErrorCode::kBadFile, "{}: {} tokens but {} entries in {}", file_of(table),
         tokens.n_elements, types.size(), kTypes);
  }
  Vocabulary vocabulary;
  // Each string has 8 B of length in the file, and the alphabet's text is never shorter than its
  // bytes.
  vocabulary.reserve(tokens.n_elements, tokens.extent.size_bytes - 8 * tokens.n_elements);
  for_each_string(table, kTokens, [&](std::string_view text) {
    const auto id = static_cast<std::size_t>(vocabulary.n_tokens());
    const TokenType type = token_type(table, types, id);
    // Only normal tokens are written in the byte-level alphabet, and even there a stray one may be
    // plain text.
    if (type != TokenType::kNormal || !append_alphabet_bytes(text, vocabulary.bytes())) {
      vocabulary.bytes().insert(vocabulary.bytes().end(), text.begin(), text.end());
    }
    vocabulary.end_token(type);
  });
  vocabulary.shrink();
  return vocabulary;
}

// A rule's two sides, as the file writes them: parted by the first space that is not the first
// character.
std::pair<std::string_view, std::string_view> sides_of(std::string_view rule) {
  const std::size_t space = rule.find(' ', 1);
  if (space == std::string_view::npos) return {rule, {}};
  return {rule.substr(0, space), rule.substr(space + 1)};
}

}  // namespace

ByteBpe::ByteBpe(const TensorTable& table)
    : vocabulary_(read_vocabulary(table)),
      specials_(vocabulary_),
      merges_(require_strings(table, kMerges).n_elements),
      pre_tokenizer_(*table.find_string("tokenizer.ggml.pre")),
      merger_(merges_) {
  read_merges(table);
  read_special_ids(table);
}

void ByteBpe::read_merges(const TensorTable& table) {
  const TokenIndex index(vocabulary_);
  for (int byte = 0; byte < 256; ++byte) {
    const char character = static_cast<char>(byte);
    byte_ids_[static_cast<std::size_t>(byte)] = index.find({&character, 1}).value_or(-1);
  }
  std::vector<char> bytes;
  std::int64_t rank = 0;
  for_each_string(table, kMerges, [&](std::string_view rule) {
    const auto [left_text, right_text] = sides_of(rule);
    bytes.clear();
    const bool left_is_good = append_alphabet_bytes(left_text, bytes);
    const std::size_t n_left = bytes.size();
    const bool is_good = left_is_good && append_alphabet_bytes(right_text, bytes) && n_left > 0 &&
                         bytes.size() > n_left;
    const std::string_view merged(bytes.data(), bytes.size());
    const auto left = index.find(merged.substr(0, n_left));
    const auto right = index.find(merged.substr(n_left));
    const auto result = index.find(merged);
    if (!is_good || !left || !right || !result) {
      fail(ErrorCode::kBadFile,
           "{}: {} entry {} does not join two tokens of the vocabulary to a third", file_of(table),
           kMerges, rank);
    }
    merges_.add(*left, *right, *result);
    ++rank;
  });
}

void ByteBpe::read_special_ids(const TensorTable& table) {
  const std::int64_t last = std::int64_t{n_vocab()} - 1;
  const auto find_id = [&](const char* key) -> std::optional<std::int32_t> {
    const auto id = table.find_int(key, 0, last);
    return id ? std::optional(static_cast<std::int32_t>(*id)) : std::nullopt;
  };
  bos_id_ = find_id("tokenizer.ggml.bos_token_id");
  eos_id_ = find_id("tokenizer.ggml.eos_token_id");
  adds_bos_ = table.find_bool("tokenizer.ggml.add_bos_token").value_or(false) && bos_id_;
  adds_eos_ = table.find_bool("tokenizer.ggml.add_eos_token").value_or(false) && eos_id_;

  if (eos_id_) end_ids_.push_back(*eos_id_);
  for (const char* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    if (const auto id = find_id(key)) end_ids_.push_back(*id);
  }
  for (const std::string_view text : kEndTexts) {
    if (const auto id = specials_.id_of(text)) end_ids_.push_back(*id);
  }
  std::sort(end_ids_.begin(), end_ids_.end());
  end_ids_.erase(std::unique(end_ids_.begin(), end_ids_.end()), end_ids_.end());
  end_ids_.shrink_to_fit();
}

std::vector<std::int32_t> ByteBpe::encode(std::string_view text,
                                          const TokenizeOptions& options) const {
  if (text.size() >= INT32_MAX) {
    fail(ErrorCode::kUsage,
         "a text of {} bytes is too long to tokenize at once; the most is {} bytes", text.size(),
         INT32_MAX - 1);
  }
  std::string repaired;
  if (!is_valid_utf8(text)) {
    repaired = repair_utf8(text);
    text = repaired;
  }
  std::vector<std::int32_t> ids;
  if (options.add_special && adds_bos_) ids.push_back(*bos_id_);
  std::size_t done = 0;
  while (const auto match = specials_.find(text, done, options.parse_special)) {
    encode_plain(text.substr(done, match->begin - done), ids);
    ids.push_back(match->id);
    done = match->begin + vocabulary_.token(match->id).size();
  }
  encode_plain(text.substr(done), ids);
  if (options.add_special && adds_eos_) ids.push_back(*eos_id_);
  return ids;
}

void ByteBpe::encode_plain(std::string_view text, std::vector<std::int32_t>& ids) const {
  if (text.empty()) return;
  pre_tokenizer_.split(text, [&](std::string_view word) { encode_word(word, ids); });
}

void ByteBpe::encode_word(std::string_view word, std::vector<std::int32_t>& ids) const {
  const auto remembered = cache_.find(word);
  if (!remembered.empty()) {
    ids.insert(ids.end(), remembered.begin(), remembered.end());
    return;
  }
  merger_.start(word.size());
  for (const char byte : word) {
    const std::int32_t id = byte_ids_[static_cast<unsigned char>(byte)];
    if (id >= 0)
      merger_.push(id);  // a byte without a token is left out, as the tokenizers library does
  }
  const std::size_t n_before = ids.size();
  merger_.finish(ids);
  cache_.put(word, std::span(ids).subspan(n_before));
}

std::string_view ByteBpe::token_bytes(std::int32_t id, bool special) const {
  const TokenType type = vocabulary_.type(id);
  const bool is_text = type == TokenType::kNormal || type == TokenType::kUserDefined;
  return is_text || special ? vocabulary_.token(id) : std::string_view();
}

bool ByteBpe::is_end_of_generation(std::int32_t id) const {
  return std::find(end_ids_.begin(), end_ids_.end(), id) != end_ids_.end();
}

std::optional<std::int32_t> ByteBpe::special_id(std::string_view text) const {
  return specials_.id_of(text);
}

std::int64_t ByteBpe::size_bytes() const {
  return static_cast<std::int64_t>(sizeof(*this)) + vocabulary_.size_bytes() +
         specials_.size_bytes() + merges_.size_bytes() + pre_tokenizer_.size_bytes() +
         merger_.size_bytes() + cache_.size_bytes() +
         static_cast<std::int64_t>(end_ids_.capacity() * sizeof(end_ids_[0]));
}

}  // namespace windlass
