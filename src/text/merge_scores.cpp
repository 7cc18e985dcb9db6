// Tokens are held as the file writes them: merges join them as text.
#include "src/text/merge_scores.h"

#include "src/text/utf8.h"

namespace windlass {
namespace {

struct Made {
  std::int32_t rank = -1;        // of its first merge among tokens made; -1: by none
  std::int64_t last_merge = -1;  // where its last one stands
  std::int64_t n_merges = 0;
  bool scattered = false;
};

std::int64_t n_cuts(std::string_view token, const TokenIndex& index) {
  std::int64_t cuts = 0;
  for (std::size_t at = next_code_point(token).size_bytes; at < token.size();
       at += next_code_point(token.substr(at)).size_bytes) {
    cuts += index.find(token.substr(0, at)) && index.find(token.substr(at));
  }
  return cuts;
}

}  // namespace

MergeScores score_merges(const HfSource& source, const HfDocument& document,
                         const Vocabulary& types, std::int64_t n_tokens) {
  Vocabulary vocabulary;
  for (std::size_t i = 0; i < document.token_ids.size(); ++i) {
    const std::string_view text = document.token(i);
    vocabulary.bytes().insert(vocabulary.bytes().end(), text.begin(), text.end());
    vocabulary.end_token(types.type(document.token_ids[i]));
  }
  const TokenIndex index(vocabulary, true);
  std::vector<Made> made(document.token_ids.size());
  std::int32_t n_made = 0;
  std::int64_t n_merges = 0;
  std::string joined;
  for_each_hf_merge(source, [&](std::string_view left, std::string_view right) {
    joined.assign(left).append(right);
    const auto place = index.find(joined);
    if (place) {
      Made& token = made[static_cast<std::size_t>(*place)];
      if (token.rank < 0) token.rank = n_made++;
      token.scattered |= token.n_merges > 0 && token.last_merge != n_merges - 1;
      token.last_merge = n_merges;
      ++token.n_merges;
    }
    ++n_merges;
  });
  MergeScores result;
  result.scores.assign(static_cast<std::size_t>(n_tokens), -static_cast<float>(n_made));
  for (std::size_t i = 0; i < made.size(); ++i) {
    const auto id = static_cast<std::size_t>(document.token_ids[i]);
    if (made[i].rank >= 0) result.scores[id] = -static_cast<float>(made[i].rank);
    if (index.find(document.token(i)) != static_cast<std::int32_t>(i)) continue;
    const std::int64_t cuts = n_cuts(document.token(i), index);
    result.n_other_cuts += made[i].scattered || cuts != made[i].n_merges;
  }
  return result;
}

}  // namespace windlass
