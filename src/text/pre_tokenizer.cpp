// The steps of a pre-tokenizer. A piece is matched on its own, so a lookahead never sees past its
// end: " 1" is cut at the digit before the spaces are judged.
#include "src/text/pre_tokenizer.h"

#include <algorithm>

#include "src/base/check.h"
#include "src/text/byte_alphabet.h"
#include "src/text/token_forms.h"
#include "src/text/utf8.h"

namespace windlass {
namespace {

using Range = Regex::Range;

// Visits matches and the text between them, in order: visit(range, is_match). None is empty.
template <typename Visit>
void for_each_span(const Regex& regex, std::string_view text, const Visit& visit) {
  std::size_t done = 0;
  std::size_t from = 0;
  Range match{};
  while (from < text.size() && regex.find(text, from, match)) {
    if (match.begin > done) visit(Range{done, match.begin}, false);
    const std::size_t begin = std::max(match.begin, done);
    if (match.end > begin) visit(Range{begin, match.end}, true);
    done = std::max(done, match.end);
    from = done;
    // An empty match is a cut and no piece; the search goes on behind the next character.
    if (match.end == begin && from < text.size()) {
      from += next_code_point(text.substr(from)).size_bytes;
    }
  }
  if (done < text.size()) visit(Range{done, text.size()}, false);
}

// Joins neighbouring spans as the behaviour says; give(range) takes the pieces.
template <typename Give>
class SpanJoiner {
 public:
  SpanJoiner(SplitBehavior behavior, const Give& give) : behavior_(behavior), give_(give) {}

  void span(Range range, bool is_match) {
    if (pending_.end > pending_.begin && joins(is_match)) {
      pending_.end = range.end;
    } else {
      flush();
      pending_ = range;
    }
    last_is_match_ = is_match;
  }
  void flush() {
    if (pending_.end > pending_.begin) give_(pending_);
    pending_ = {};
  }

 private:
  bool joins(bool is_match) const {
    switch (behavior_) {
      case SplitBehavior::kMergedWithPrevious:
        return is_match && !last_is_match_;
      case SplitBehavior::kMergedWithNext:
        return !is_match && last_is_match_;
      case SplitBehavior::kContiguous:
        return is_match == last_is_match_;
      default:
        return false;
    }
  }

  SplitBehavior behavior_;
  const Give& give_;
  Range pending_{};  // empty: none
  bool last_is_match_ = false;
};

bool is_glue(const SafeCut& step, std::string_view text, std::size_t mark_at) {
  std::size_t at = mark_at - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  const std::int32_t character = next_code_point(text.substr(at)).value;
  return std::binary_search(step.glue.begin(), step.glue.end(), character);
}

}  // namespace

// One pass over one text.
struct PreTokenizer::Run {
  const std::vector<SplitStep>& steps;
  Sink& sink;

  void piece(std::size_t level, std::string_view text, bool at_start, bool in_alphabet) const {
    if (level < steps.size()) {
      std::visit([&](const auto& step) { apply(step, level + 1, text, at_start, in_alphabet); },
                 steps[level]);
    } else if (in_alphabet) {
      std::vector<char> bytes;
      WINDLASS_CHECK(append_alphabet_bytes(text, bytes));
      sink.piece({bytes.data(), bytes.size()});
    } else {
      sink.piece(text);
    }
  }

  void apply(const RegexSplit& step, std::size_t next, std::string_view text, bool at_start,
             bool in_alphabet) const {
    const auto give = [&](Range range) {
      piece(next, text.substr(range.begin, range.end - range.begin), at_start && range.begin == 0,
            in_alphabet);
    };
    if (step.behavior == SplitBehavior::kIsolated) {
      for_each_span(step.regex, text, [&](Range range, bool) { give(range); });
    } else if (step.behavior == SplitBehavior::kRemoved) {
      for_each_span(step.regex, text, [&](Range range, bool is_match) {
        if (is_match == step.invert) give(range);
      });
    } else {
      SpanJoiner joiner(step.behavior, give);
      for_each_span(step.regex, text, [&](Range range, bool is_match) {
        joiner.span(range, is_match != step.invert);
      });
      joiner.flush();
    }
  }

  void apply(const MetaspaceSplit& step, std::size_t next, std::string_view text, bool at_start,
             bool in_alphabet) const {
    std::string marked;
    marked.reserve(text.size() + text.size() / 2);
    for (const char byte : text) {
      if (byte == ' ')
        marked += kSpaceMark;
      else
        marked += byte;
    }
    const bool prepends = step.prepend == MetaspaceSplit::Prepend::kAlways ||
                          (step.prepend == MetaspaceSplit::Prepend::kFirst && at_start);
    if (prepends && !marked.starts_with(kSpaceMark)) marked.insert(0, kSpaceMark);
    std::string_view rest = marked;
    bool is_first = at_start;
    while (!rest.empty()) {
      const std::size_t cut = step.cuts ? rest.find(kSpaceMark, 1) : std::string_view::npos;
      piece(next, rest.substr(0, cut), is_first, in_alphabet);
      is_first = false;
      rest = cut == std::string_view::npos ? std::string_view() : rest.substr(cut);
    }
  }

  void apply(const SpacePrefix&, std::size_t next, std::string_view text, bool at_start,
             bool in_alphabet) const {
    if (text.starts_with(' ')) return piece(next, text, at_start, in_alphabet);
    std::string spaced(" ");
    spaced += text;
    piece(next, spaced, at_start, in_alphabet);
  }

  void apply(const ByteAlphabet&, std::size_t next, std::string_view text, bool at_start,
             bool) const {
    std::string written;
    append_alphabet_text(text, written);
    piece(next, written, at_start, true);
  }

  void apply(const SafeCut& step, std::size_t next, std::string_view text, bool at_start,
             bool in_alphabet) const {
    std::size_t begin = 0;
    std::size_t after_mark = 0;  // the end of the last mark seen
    for (std::size_t at = text.find(step.mark); at != std::string_view::npos;
         at = text.find(step.mark, after_mark)) {
      if (at > begin && at != after_mark && !is_glue(step, text, at)) {
        piece(next, text.substr(begin, at - begin), at_start && begin == 0, in_alphabet);
        begin = at;
      }
      after_mark = at + step.mark.size();
    }
    if (begin < text.size()) {
      piece(next, text.substr(begin), at_start && begin == 0, in_alphabet);
    }
  }
};

void PreTokenizer::split(std::string_view text, bool at_start, Sink& sink) const {
  if (!text.empty()) Run{steps_, sink}.piece(0, text, at_start, false);
}

std::int64_t PreTokenizer::size_bytes() const {
  auto size_bytes = static_cast<std::int64_t>(steps_.capacity() * sizeof(SplitStep));
  for (const SplitStep& step : steps_) {
    if (const auto* split = std::get_if<RegexSplit>(&step)) size_bytes += split->regex.size_bytes();
    if (const auto* cut = std::get_if<SafeCut>(&step)) {
      size_bytes += static_cast<std::int64_t>(cut->glue.capacity() * sizeof(cut->glue[0]));
    }
  }
  return size_bytes;
}

}  // namespace windlass
