// Finds special tokens in text: those whose text stands for one id and is not split.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "src/text/vocabulary.h"

namespace windlass {

// Thread-compatible; const methods are thread-safe. The vocabulary must outlive it and stay where
// it is.
class SpecialTokens {
 public:
  struct Match {
    std::size_t begin;
    std::int32_t id;
  };

  explicit SpecialTokens(const Vocabulary& vocabulary);
  // The first special token at or after `from`; where several begin, the longest. User-defined
  // tokens always count, control and unknown ones only if `control`. Cost: one table lookup a byte
  // where no token begins with that byte.
  std::optional<Match> find(std::string_view text, std::size_t from, bool control) const;
  // By the whole text; the lowest id of equal ones.
  std::optional<std::int32_t> id_of(std::string_view text) const;
  // All of them, in no promised order.
  const std::vector<std::int32_t>& ids() const { return ids_; }
  std::int64_t size_bytes() const;

 private:
  const Vocabulary& vocabulary_;
  std::vector<std::int32_t> ids_;           // by first byte, then longest first, then id
  std::array<std::uint32_t, 257> begin_{};  // ids_ of first byte b are [begin_[b], begin_[b + 1])
};

}  // namespace windlass
