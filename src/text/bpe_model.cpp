// A word's first symbols; BpeMerger does the rest.
#include "src/text/bpe_model.h"

#include <algorithm>
#include <utility>

#include "src/text/utf8.h"

namespace windlass {

BpeModel::BpeModel(const Vocabulary& vocabulary, MergeTable merges,
                   std::unique_ptr<TokenIndex> index, const BpeOptions& options)
    : vocabulary_(vocabulary),
      merges_(std::move(merges)),
      index_(std::move(index)),
      options_(options),
      merger_(merges_) {}

void BpeModel::encode(std::string_view word, std::vector<std::int32_t>& ids) {
  if (options_.whole_words) {
    if (const auto id = index_->find(word)) {
      ids.push_back(*id);
      return;
    }
  }
  merger_.start(word.size());
  push_symbols(word);
  const std::size_t n_before = ids.size();
  merger_.finish(ids);
  if (options_.n_tokens < vocabulary_.n_tokens()) expand_leftovers(n_before, ids);
}

void BpeModel::push_symbols(std::string_view word) {
  bool follows_unknown = false;
  while (!word.empty()) {
    const std::size_t size = options_.over_bytes ? 1 : next_code_point(word).size_bytes;
    const std::string_view symbol = word.substr(0, size);
    const std::int32_t id = options_.over_bytes
                                ? options_.byte_ids[static_cast<unsigned char>(word[0])]
                                : index_->find(symbol).value_or(-1);
    if (id >= 0) {
      merger_.push(id);
      follows_unknown = false;
    } else {
      push_unknown(symbol, follows_unknown);
      follows_unknown = !has_bytes(symbol);
    }
    word.remove_prefix(size);
  }
}

void BpeModel::push_unknown(std::string_view symbol, bool follows_unknown) {
  if (has_bytes(symbol)) {
    for (const char byte : symbol) {
      merger_.push(options_.byte_ids[static_cast<unsigned char>(byte)]);
    }
  } else if (options_.unknown && !(follows_unknown && options_.fuse_unknown)) {
    merger_.push(*options_.unknown);
  }
}

bool BpeModel::has_bytes(std::string_view character) const {
  return std::all_of(character.begin(), character.end(), [&](char byte) {
    return options_.byte_ids[static_cast<unsigned char>(byte)] >= 0;
  });
}

void BpeModel::expand_leftovers(std::size_t from, std::vector<std::int32_t>& ids) const {
  for (std::size_t i = from; i < ids.size(); ++i) {
    if (ids[i] < options_.n_tokens) continue;
    const std::string_view character = vocabulary_.token(ids[i]);
    std::vector<std::int32_t> instead;
    if (has_bytes(character)) {
      for (const char byte : character) {
        instead.push_back(options_.byte_ids[static_cast<unsigned char>(byte)]);
      }
    } else if (options_.unknown) {
      instead.push_back(*options_.unknown);
    }
    const auto at = ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(i));
    ids.insert(at, instead.begin(), instead.end());
    i += instead.size();
    --i;
  }
}

std::int64_t BpeModel::size_bytes() const {
  return static_cast<std::int64_t>(sizeof(*this)) + merges_.size_bytes() + merger_.size_bytes() +
         (index_ ? index_->size_bytes() : 0);
}

}  // namespace windlass
