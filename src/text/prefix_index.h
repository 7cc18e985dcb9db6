// Tokens in the order of their bytes: finds all that begin a text by narrowing a range byte by
// byte. A trie that costs 4 B a token.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "src/text/vocabulary.h"

namespace windlass {

// Thread-compatible; const methods are thread-safe. The vocabulary must outlive it and stay where
// it is. Narrowing costs two binary searches in the range.
class PrefixIndex {
 public:
  // The tokens whose bytes begin with those walked so far.
  struct Range {
    std::uint32_t begin;
    std::uint32_t end;
    bool empty() const { return begin == end; }
  };

  // Of these ids; tokens without bytes are left out.
  PrefixIndex(const Vocabulary& vocabulary, std::vector<std::int32_t> ids);

  Range first(char byte) const {
    const auto i = static_cast<unsigned char>(byte);
    return {begin_[i], begin_[i + 1u]};
  }
  // REQUIRES: `range` came from n_walked bytes, n_walked >= 1.
  Range narrow(Range range, std::size_t n_walked, char byte) const;
  // The tokens that are exactly the n_walked bytes, by id: the beginning of the range.
  Range exact(Range range, std::size_t n_walked) const;
  std::int32_t id_at(std::uint32_t place) const { return ids_[place]; }
  std::int64_t size_bytes() const;

 private:
  // The byte of a token after its first n_walked; -1 at its end.
  int byte_after(std::uint32_t place, std::size_t n_walked) const {
    const std::string_view token = vocabulary_.token(ids_[place]);
    return n_walked < token.size() ? static_cast<unsigned char>(token[n_walked]) : -1;
  }
  // The first place of the range whose next byte is above `byte`.
  std::uint32_t end_of(Range range, std::size_t n_walked, int byte) const;

  const Vocabulary& vocabulary_;
  std::vector<std::int32_t> ids_;           // by bytes, then id
  std::array<std::uint32_t, 257> begin_{};  // those of first byte b: [begin_[b], begin_[b + 1])
};

}  // namespace windlass
