// The greedy longest match.
#include "src/text/wordpiece_model.h"

#include <algorithm>
#include <utility>

namespace windlass {

WordPieceModel::WordPieceModel(const Vocabulary& vocabulary, std::vector<std::int32_t> first,
                               std::vector<std::int32_t> next, const WordPieceOptions& options)
    : first_(vocabulary, std::move(first)), next_(vocabulary, std::move(next)), options_(options) {}

void WordPieceModel::encode(std::string_view word, std::vector<std::int32_t>& ids) {
  const auto n_characters = std::count_if(word.begin(), word.end(), [&](char byte) {
    return options_.over_bytes || (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
  });
  const std::size_t n_before = ids.size();
  if (n_characters <= options_.max_characters) {
    spaced_.clear();
    spaced_ += ' ';
    spaced_ += word;
    for (std::size_t at = 0; at < spaced_.size();) {
      std::int32_t id = 0;
      const std::size_t length = at == 0 ? longest_first(id) : longest(next_, at, id);
      if (length == 0 || (at == 0 && length == 1)) {
        ids.resize(n_before);
        break;
      }
      ids.push_back(id);
      at += length;
    }
  }
  if (ids.size() == n_before) ids.push_back(options_.unknown);
}

// A word may begin with what tokens that go on have before them: then it begins with such a token.
std::size_t WordPieceModel::longest_first(std::int32_t& id) const {
  const std::size_t length = longest(first_, 0, id);
  const std::string_view mark = options_.goes_on;
  if (mark.empty() || spaced_.compare(1, mark.size(), mark) != 0) return length;
  const std::size_t begin = 1 + mark.size();
  std::int32_t next_id = 0;
  const std::size_t next = begin < spaced_.size() ? longest(next_, begin, next_id) : 0;
  if (next == 0 || begin + next < length) return length;
  id = next_id;
  return begin + next;
}

std::size_t WordPieceModel::longest(const PrefixIndex& index, std::size_t at,
                                    std::int32_t& id) const {
  std::size_t length = 0;
  PrefixIndex::Range range = index.first(spaced_[at]);
  for (std::size_t n = 1; !range.empty(); ++n) {
    const PrefixIndex::Range exact = index.exact(range, n);
    if (!exact.empty()) {
      id = index.id_at(exact.begin);
      length = n;
    }
    if (at + n == spaced_.size()) break;
    range = index.narrow(range, n, spaced_[at + n]);
  }
  return length;
}

std::int64_t WordPieceModel::size_bytes() const {
  return static_cast<std::int64_t>(sizeof(*this) + spaced_.capacity()) + first_.size_bytes() +
         next_.size_bytes();
}

}  // namespace windlass
