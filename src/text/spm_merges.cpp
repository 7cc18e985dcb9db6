// Every cut of every token into two others, ranked by the token's score.
#include "src/text/spm_merges.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "src/base/error.h"
#include "src/text/utf8.h"

namespace windlass {
namespace {

// SentencePiece's own limit is 16 characters. Looking up all cuts is quadratic in this length.
constexpr std::size_t kMaxTokenBytes = 256;

bool is_text(TokenType type) { return type == TokenType::kNormal || type == TokenType::kUnused; }

void check(const Vocabulary& vocabulary, std::span<const float> scores, std::string_view source) {
  for (std::int32_t id = 0; id < static_cast<std::int32_t>(scores.size()); ++id) {
    if (!is_text(vocabulary.type(id))) continue;
    if (vocabulary.token(id).size() > kMaxTokenBytes) {
      fail(ErrorCode::kBadFile, "{}: token {} has {} bytes; the most is {}", source, id,
           vocabulary.token(id).size(), kMaxTokenBytes);
    }
    if (!std::isfinite(scores[static_cast<std::size_t>(id)])) {
      fail(ErrorCode::kBadFile, "{}: the score of token {} is no finite number", source, id);
    }
  }
}

void append_missing_characters(Vocabulary& vocabulary) {
  std::set<std::string, std::less<>> missing;
  const TokenIndex index(vocabulary, true);
  for (std::int32_t id = 0; id < vocabulary.n_tokens(); ++id) {
    if (!is_text(vocabulary.type(id))) continue;
    std::string_view rest = vocabulary.token(id);
    while (!rest.empty()) {
      const std::string_view character = rest.substr(0, next_code_point(rest).size_bytes);
      if (!index.find(character)) missing.emplace(character);
      rest.remove_prefix(character.size());
    }
  }
  for (const std::string& character : missing) {
    vocabulary.bytes().insert(vocabulary.bytes().end(), character.begin(), character.end());
    vocabulary.end_token(TokenType::kUnused);
  }
}

// Distinct scores, highest first: a score's place is its rank.
std::vector<float> ranked(std::span<const float> scores) {
  std::vector<float> ranks(scores.begin(), scores.end());
  std::erase_if(ranks, [](float score) { return !std::isfinite(score); });
  std::sort(ranks.begin(), ranks.end(), std::greater<>{});
  ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
  return ranks;
}

// Visits the cuts of the token into two tokens: visit(left, right).
template <typename Visit>
void for_each_cut(std::string_view token, const TokenIndex& index, const Visit& visit) {
  for (std::size_t at = next_code_point(token).size_bytes; at < token.size();
       at += next_code_point(token.substr(at)).size_bytes) {
    const auto left = index.find(token.substr(0, at));
    if (!left) continue;
    const auto right = index.find(token.substr(at));
    if (right) visit(*left, *right);
  }
}

}  // namespace

MergeTable spm_merges(Vocabulary& vocabulary, std::span<const float> scores,
                      std::string_view source) {
  struct Rule {
    std::int32_t left, right, result;
  };
  check(vocabulary, scores, source);
  append_missing_characters(vocabulary);
  const TokenIndex index(vocabulary, true);
  std::vector<Rule> rules;
  for (std::int32_t id = 0; id < static_cast<std::int32_t>(scores.size()); ++id) {
    const std::string_view token = vocabulary.token(id);
    // Of tokens with equal bytes only the one that text becomes is a result.
    if (!is_text(vocabulary.type(id)) || token.empty() || index.find(token) != id) continue;
    for_each_cut(token, index, [&](std::int32_t left, std::int32_t right) {
      rules.push_back({left, right, id});
    });
  }
  const std::vector<float> ranks = ranked(scores);
  MergeTable merges(static_cast<std::int64_t>(rules.size()));
  for (const Rule& rule : rules) {
    const float score = scores[static_cast<std::size_t>(rule.result)];
    const auto rank = std::lower_bound(ranks.begin(), ranks.end(), score, std::greater<>{});
    merges.add(rule.left, rule.right,
               {static_cast<std::int32_t>(rank - ranks.begin()), rule.result});
  }
  return merges;
}

}  // namespace windlass
