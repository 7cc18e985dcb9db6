// Viterbi over the places of a word; sums are kept in double, as the tokenizers library does.
#include "src/text/unigram_model.h"

#include <algorithm>
#include <utility>

#include "src/base/check.h"
#include "src/text/utf8.h"

namespace windlass {
namespace {

constexpr double kUnknownPenalty = 10.0;
// A word longer than this is no word of any language; its work arrays are given back at once.
constexpr std::size_t kKeptPlaces = 1024;

double lowest(const std::vector<std::int32_t>& ids, const std::vector<double>& scores) {
  double lowest = ids.empty() ? 0.0 : 1e30;
  for (const std::int32_t id : ids) {
    lowest = std::min(lowest, scores[static_cast<std::size_t>(id)]);
  }
  return lowest;
}

}  // namespace

UnigramModel::UnigramModel(const Vocabulary& vocabulary, std::vector<std::int32_t> ids,
                           std::vector<double> scores, const UnigramOptions& options)
    : index_(vocabulary, ids),
      scores_(std::move(scores)),
      options_(options),
      unknown_score_(lowest(ids, scores_) - kUnknownPenalty) {}

void UnigramModel::encode(std::string_view word, std::vector<std::int32_t>& ids) {
  WINDLASS_CHECK(word.size() < INT32_MAX, word.size());
  best_.assign(word.size() + 1, {0.0, -1, 0});
  for (std::size_t begin = 0; begin < word.size();) {
    extend(word, begin);
    begin += character_size(word.substr(begin));
  }
  ends_.clear();
  for (std::size_t end = word.size(); end > 0;) {
    ends_.push_back(static_cast<std::int32_t>(end));
    end = static_cast<std::size_t>(best_[end].begin);
  }
  std::size_t begin = 0;
  for (std::size_t i = ends_.size(); i-- > 0;) {
    auto end = static_cast<std::size_t>(ends_[i]);
    if (best_[end].id != options_.unknown) {
      ids.push_back(best_[end].id);
    } else {
      while (i > 0 && best_[static_cast<std::size_t>(ends_[i - 1])].id == options_.unknown) {
        end = static_cast<std::size_t>(ends_[--i]);
      }
      append_unknown(word.substr(begin, end - begin), ids);
    }
    begin = end;
  }
  if (best_.capacity() > kKeptPlaces) std::vector<Best>().swap(best_);
  if (ends_.capacity() > kKeptPlaces) std::vector<std::int32_t>().swap(ends_);
}

std::size_t UnigramModel::character_size(std::string_view text) const {
  return options_.over_bytes ? 1 : next_code_point(text).size_bytes;
}

// Offers every token that begins here, and the character alone as unknown where none is just it.
void UnigramModel::extend(std::string_view word, std::size_t begin) {
  const std::size_t character = character_size(word.substr(begin));
  bool has_character = false;
  PrefixIndex::Range range = index_.first(word[begin]);
  for (std::size_t n = 1; !range.empty(); ++n) {
    const PrefixIndex::Range exact = index_.exact(range, n);
    if (!exact.empty()) {
      const std::int32_t id = index_.id_at(exact.begin);
      offer(begin, begin + n, id, scores_[static_cast<std::size_t>(id)]);
      has_character = has_character || n == character;
    }
    if (begin + n == word.size()) break;
    range = index_.narrow(range, n, word[begin + n]);
  }
  if (!has_character) offer(begin, begin + character, options_.unknown, unknown_score_);
}

void UnigramModel::offer(std::size_t begin, std::size_t end, std::int32_t id, double score) {
  Best& best = best_[end];
  const double sum = best_[begin].score + score;
  if (best.id < 0 || sum > best.score) best = {sum, id, static_cast<std::int32_t>(begin)};
}

void UnigramModel::append_unknown(std::string_view text, std::vector<std::int32_t>& ids) const {
  const auto id_of = [&](char byte) { return options_.byte_ids[static_cast<unsigned char>(byte)]; };
  if (!std::all_of(text.begin(), text.end(), [&](char byte) { return id_of(byte) >= 0; })) {
    ids.push_back(options_.unknown);
    return;
  }
  for (const char byte : text) ids.push_back(id_of(byte));
}

std::int64_t UnigramModel::size_bytes() const {
  return static_cast<std::int64_t>(sizeof(*this)) + index_.size_bytes() +
         static_cast<std::int64_t>(scores_.capacity() * sizeof(scores_[0]) +
                                   best_.capacity() * sizeof(best_[0]) +
                                   ends_.capacity() * sizeof(ends_[0]));
}

}  // namespace windlass
