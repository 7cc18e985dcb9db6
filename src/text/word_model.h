// What turns one word into token ids: byte-pair encoding, Unigram, WordPiece each implement it.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace windlass {

// Owner-thread: work arrays are reused from word to word.
class WordModel {
 public:
  virtual ~WordModel() = default;
  // Appends the word's ids. Any bytes that are valid UTF-8; near-linear in their number.
  virtual void encode(std::string_view word, std::vector<std::int32_t>& ids) = 0;
  virtual std::int64_t size_bytes() const = 0;
};

}  // namespace windlass
