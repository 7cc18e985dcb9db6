// The greedy longest match.
#include "src/text/wordpiece_model.h"

#include <algorithm>
#include <utility>

namespace windlass {

WordPieceModel::WordPieceModel(const Vocabulary& vocabulary, std::vector<std::int32_t> ids,
                               const WordPieceOptions& options)
    : index_(vocabulary, std::move(ids)), options_(options) {}

void WordPieceModel::encode(std::string_view word, std::vector<std::int32_t>& ids) {
  const auto n_characters = std::count_if(word.begin(), word.end(), [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
  });
  const std::size_t n_before = ids.size();
  if (n_characters <= options_.max_characters) {
    spaced_.clear();
    spaced_ += ' ';
    spaced_ += word;
    for (std::size_t at = 0; at < spaced_.size();) {
      std::int32_t id = 0;
      const std::size_t length = longest(at, id);
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

std::size_t WordPieceModel::longest(std::size_t at, std::int32_t& id) const {
  std::size_t length = 0;
  PrefixIndex::Range range = index_.first(spaced_[at]);
  for (std::size_t n = 1; !range.empty(); ++n) {
    const PrefixIndex::Range exact = index_.exact(range, n);
    if (!exact.empty()) {
      id = index_.id_at(exact.begin);
      length = n;
    }
    if (at + n == spaced_.size()) break;
    range = index_.narrow(range, n, spaced_[at + n]);
  }
  return length;
}

std::int64_t WordPieceModel::size_bytes() const {
  return static_cast<std::int64_t>(sizeof(*this) + spaced_.capacity()) + index_.size_bytes();
}

}  // namespace windlass
