// Calibration and evaluation texts kept apart: what a method was fitted on must not be what it is
// judged by, nor share passages with it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace windlass {

// Hashes of a text's passages: what whoever fits something to a text keeps, so that it can be told
// later, without the text. A passage is a run of kPassageWords words (what white space parts; how
// much of it, and which, does not matter); of all runs, wherever they begin, those are kept whose
// hash is a multiple of kKeepOneIn (and the first, so that each text has one). So a stretch of
// words that two texts share is found wherever it lies in them, if it holds a passage that is kept:
// all but 3 in 10^5 of 100 words do (77 passages, (7/8)^77).
class TextPassages {
 public:
  static constexpr std::size_t kPassageWords = 24;
  static constexpr std::uint64_t kKeepOneIn = 8;

  explicit TextPassages(std::string_view text);

  // The first passage of `text` (its words, by single blanks) that this text has too.
  std::optional<std::string> find_shared_passage(std::string_view text) const;
  std::int64_t size_bytes() const;

 private:
  std::vector<std::uint64_t> hashes_;  // ascending
};

}  // namespace windlass
