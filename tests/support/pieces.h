// The pieces of a pre-tokenizer as a list.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "src/text/pre_tokenizer.h"

namespace windlass::testing {

inline std::vector<std::string> pieces_of(const PreTokenizer& split, std::string_view text) {
  class Collector final : public PreTokenizer::Sink {
   public:
    void piece(std::string_view piece) override { pieces.emplace_back(piece); }
    std::vector<std::string> pieces;
  } collector;
  split.split(text, true, collector);
  return collector.pieces;
}

}  // namespace windlass::testing
