// Which tokens a grammar allows next. The vocabulary is walked in the order of the tokens' bytes
// with the number of bytes that neighbours share (a trie, flattened), along with the matcher's
// states: what tokens begin with alike is matched once, and a beginning that cannot be is left with
// all tokens behind it. The answer is kept by state.
#pragma once

#include <cstdint>
#include <vector>

#include "src/text/grammar/matcher.h"
#include "src/text/tokenizer.h"

namespace windlass {

// Owner-thread. Nothing allocates after the constructor. Holds 6 B a token, 32 masks of a bit a
// token, and the matcher's 2 MiB.
class TokenFilter {
 public:
  // The tokenizer must outlive this. Control tokens are never allowed, those that end generation
  // where the text is complete.
  TokenFilter(Automaton automaton, const Tokenizer& tokenizer);

  // At the beginning of the text again.
  void restart();
  // Makes allows() answer for the text so far. Error(kUnsupported) when no token goes on and the
  // text may not end, or when finding that out takes more than kMostWork steps.
  void prepare();
  // REQUIRES: prepare() since the last accept().
  bool allows(std::int32_t id) const;
  // REQUIRES: allows(id).
  void accept(std::int32_t id);
  // The text is complete and nothing can follow.
  bool finished() const { return matcher_.complete(state_) && !matcher_.can_go_on(state_); }

  std::int64_t size_bytes() const;

 private:
  static constexpr std::size_t kMasks = 32;
  struct MaskKey {
    Matcher::StateId state = Matcher::kDead;
    std::uint64_t generation = 0;
  };

  void order_tokens();
  std::size_t n_words() const { return (static_cast<std::size_t>(tokenizer_.n_vocab()) + 63) / 64; }
  void walk();
  bool walk_token(std::int32_t id, std::size_t n_shared);
  Matcher::StateId step(std::size_t n_path, std::uint8_t byte);

  const Tokenizer& tokenizer_;
  Matcher matcher_;
  Matcher::StateId state_ = Matcher::kDead;
  std::vector<std::int32_t> order_;      // ids with bytes that do not end generation
  std::vector<std::uint16_t> n_shared_;  // bytes that order_[i] has in common with order_[i - 1]
  std::vector<Matcher::StateId> path_;   // [0] state_, [i] after i bytes of the token at hand
  std::size_t n_dead_ = 0;               // bytes of the token at hand that cannot be; 0: all can
  std::vector<std::uint64_t> masks_;     // [kMasks, n_words()]
  std::vector<MaskKey> keys_;            // [kMasks]
  std::size_t mask_ = 0, next_mask_ = 0;
};

}  // namespace windlass
