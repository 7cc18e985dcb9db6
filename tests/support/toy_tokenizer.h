// A tokenizer of given pieces, for tests of what reads tokens' bytes. It does not encode.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "src/text/tokenizer.h"

namespace windlass::testing {

class ToyTokenizer final : public Tokenizer {
 public:
  // An empty piece is a control token; `ends` are the ids that end generation.
  ToyTokenizer(std::vector<std::string> pieces, std::vector<std::int32_t> ends)
      : pieces_(std::move(pieces)), ends_(std::move(ends)) {}
  std::vector<std::int32_t> encode(std::string_view, const TokenizeOptions&) const override {
    return {};
  }
  std::string_view token_bytes(std::int32_t id, bool) const override {
    return pieces_[static_cast<std::size_t>(id)];
  }
  std::int32_t n_vocab() const override { return static_cast<std::int32_t>(pieces_.size()); }
  std::optional<std::int32_t> bos_id() const override { return std::nullopt; }
  std::optional<std::int32_t> eos_id() const override { return std::nullopt; }
  bool adds_bos() const override { return false; }
  bool is_end_of_generation(std::int32_t id) const override {
    return std::find(ends_.begin(), ends_.end(), id) != ends_.end();
  }
  std::optional<std::int32_t> special_id(std::string_view) const override { return std::nullopt; }
  std::int64_t size_bytes() const override { return 0; }

 private:
  std::vector<std::string> pieces_;
  std::vector<std::int32_t> ends_;
};

}  // namespace windlass::testing
