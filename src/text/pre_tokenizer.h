// Cuts text into the pieces ("words") that a tokenizer's model works on: a list of steps, each of
// which cuts the pieces that the one before left.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "src/text/regex.h"

namespace windlass {

// What becomes of the matches and of the text between them.
enum class SplitBehavior {
  kIsolated,            // each is a piece
  kRemoved,             // matches vanish
  kMergedWithPrevious,  // a match belongs to the text before it
  kMergedWithNext,      // ... after it
  kContiguous,          // matches that touch are one piece
};

// Cuts at the matches of an expression; with `invert` matches and the text between change roles.
struct RegexSplit {
  Regex regex;
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;
};

// Writes a space as U+2581, puts one before the text where none is, and cuts before each.
struct MetaspaceSplit {
  enum class Prepend { kNever, kFirst, kAlways };
  Prepend prepend = Prepend::kAlways;
  bool cuts = true;
};

// Puts a space before a piece that begins with none.
struct SpacePrefix {};

// Writes the bytes in the byte-level alphabet: later steps see its characters, the model the bytes.
struct ByteAlphabet {};

// Cuts before each mark that follows another character than the mark, where no token could span the
// cut: the model's answer is the same, its words are short.
struct SafeCut {
  std::string_view mark;  // a constant: U+2581 or a space
  // The characters that some token has before a mark, ascending.
  std::vector<std::int32_t> glue;
};

using SplitStep = std::variant<RegexSplit, MetaspaceSplit, SpacePrefix, ByteAlphabet, SafeCut>;

// Owner-thread: PCRE2's match data is shared by all calls.
class PreTokenizer {
 public:
  class Sink {
   public:
    virtual void piece(std::string_view piece) = 0;  // the view lives during the call

   protected:
    ~Sink() = default;
  };

  void add(SplitStep step) { steps_.push_back(std::move(step)); }
  bool empty() const { return steps_.empty(); }
  // Gives the pieces in order. at_start: this is the beginning of the whole text. REQUIRES: valid
  // UTF-8.
  void split(std::string_view text, bool at_start, Sink& sink) const;
  std::int64_t size_bytes() const;

 private:
  struct Run;

  std::vector<SplitStep> steps_;
};

}  // namespace windlass
