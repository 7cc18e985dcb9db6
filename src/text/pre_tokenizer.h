// Splits text into the pieces that BPE works on, by the regular expressions that a tokenizer family
// published.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace windlass {

// Owner-thread: PCRE2's match data is shared by all calls.
class PreTokenizer {
 public:
  using Visit = std::function<void(std::string_view piece)>;

  // `name` is tokenizer.ggml.pre. Error(kUnsupported) for a name not in the table (names()).
  explicit PreTokenizer(std::string_view name);
  ~PreTokenizer();
  PreTokenizer(const PreTokenizer&) = delete;
  PreTokenizer& operator=(const PreTokenizer&) = delete;

  // Visits the pieces in order; joined they are `text`. REQUIRES: valid UTF-8.
  void split(std::string_view text, const Visit& visit) const;
  // Heap held by PCRE2, its compiled machine code included.
  std::int64_t size_bytes() const;
  // The names known, for messages: "smollm".
  static std::string names();

 private:
  struct Regexes;
  void split_from(std::size_t level, std::string_view text, const Visit& visit) const;

  std::unique_ptr<Regexes> regexes_;
};

}  // namespace windlass
