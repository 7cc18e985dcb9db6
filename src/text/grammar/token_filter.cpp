#include "src/text/grammar/token_filter.h"

#include <algorithm>

#include "src/base/check.h"
#include "src/base/error.h"

namespace windlass {
namespace {

// Longer tokens are never allowed: their shared beginnings are counted in 16 bits.
constexpr std::size_t kMostTokenBytes = 1024;
// Half a second or so. A JSON grammar takes some thousands.
constexpr std::int64_t kMostWork = 20'000'000;

}  // namespace

TokenFilter::TokenFilter(Automaton automaton, const Tokenizer& tokenizer)
    : tokenizer_(tokenizer), matcher_(std::move(automaton)), keys_(kMasks) {
  order_tokens();
  masks_.resize(kMasks * n_words());
  restart();
}

void TokenFilter::order_tokens() {
  const auto bytes = [&](std::int32_t id) { return tokenizer_.token_bytes(id, false); };
  std::size_t longest = 0;
  for (std::int32_t id = 0; id < tokenizer_.n_vocab(); ++id) {
    const std::size_t size = bytes(id).size();
    if (size == 0 || size > kMostTokenBytes || tokenizer_.is_end_of_generation(id)) continue;
    order_.push_back(id);
    longest = std::max(longest, size);
  }
  order_.shrink_to_fit();
  std::sort(order_.begin(), order_.end(), [&](std::int32_t a, std::int32_t b) {
    const int order = bytes(a).compare(bytes(b));
    return order != 0 ? order < 0 : a < b;
  });
  n_shared_.resize(order_.size());
  for (std::size_t i = 1; i < order_.size(); ++i) {
    const std::string_view a = bytes(order_[i - 1]), b = bytes(order_[i]);
    const auto end = a.begin() + static_cast<std::ptrdiff_t>(std::min(a.size(), b.size()));
    n_shared_[i] =
        static_cast<std::uint16_t>(std::mismatch(a.begin(), end, b.begin()).first - a.begin());
  }
  path_.resize(longest + 1);
}

void TokenFilter::restart() { state_ = matcher_.restart(); }

void TokenFilter::prepare() {
  for (std::size_t i = 0; i < kMasks; ++i) {
    if (keys_[i].generation != matcher_.generation() || keys_[i].state != state_) continue;
    mask_ = i;
    return;
  }
  mask_ = next_mask_;
  next_mask_ = (next_mask_ + 1) % kMasks;
  walk();
}

void TokenFilter::walk() {
  const auto mask = masks_.begin() + static_cast<std::ptrdiff_t>(mask_ * n_words());
  std::fill(mask, mask + static_cast<std::ptrdiff_t>(n_words()), 0);
  keys_[mask_] = MaskKey();
  path_[0] = state_;
  n_dead_ = 0;
  bool any = false;
  const std::int64_t work_before = matcher_.work();
  for (std::size_t i = 0; i < order_.size(); ++i) {
    if (n_dead_ > 0 && n_shared_[i] >= n_dead_) continue;
    const auto id = static_cast<std::size_t>(order_[i]);
    if (walk_token(order_[i], n_shared_[i])) {
      mask[static_cast<std::ptrdiff_t>(id / 64)] |= std::uint64_t{1} << (id % 64);
      any = true;
    }
    if (matcher_.work() - work_before > kMostWork) {
      fail(ErrorCode::kUnsupported,
           "the grammar is too ambiguous: which tokens it allows took more than {} steps",
           kMostWork);
    }
  }
  state_ = path_[0];  // its id may have changed on the way
  if (!any && !matcher_.complete(state_)) {
    fail(ErrorCode::kUnsupported,
         "the grammar cannot go on: no token of the vocabulary begins with what it wants next");
  }
  keys_[mask_] = {state_, matcher_.generation()};
}

// Follows the token from what it shares with the one before; true if all of it may come.
bool TokenFilter::walk_token(std::int32_t id, std::size_t n_shared) {
  const std::string_view bytes = tokenizer_.token_bytes(id, false);
  for (std::size_t n = n_shared; n < bytes.size(); ++n) {
    path_[n + 1] = step(n + 1, static_cast<std::uint8_t>(bytes[n]));
    if (path_[n + 1] == Matcher::kDead) {
      n_dead_ = n + 1;
      return false;
    }
  }
  n_dead_ = 0;
  return true;
}

// From the last of the first n_path states of the path.
Matcher::StateId TokenFilter::step(std::size_t n_path, std::uint8_t byte) {
  Matcher::StateId next = matcher_.step(path_[n_path - 1], byte);
  if (next != Matcher::kFull) return next;
  matcher_.compact(std::span(path_).first(n_path));
  next = matcher_.step(path_[n_path - 1], byte);
  WINDLASS_CHECK(next != Matcher::kFull, n_path);
  return next;
}

bool TokenFilter::allows(std::int32_t id) const {
  if (id >= tokenizer_.n_vocab()) return false;  // a row beyond the vocabulary
  if (tokenizer_.is_end_of_generation(id)) return matcher_.complete(state_);
  const auto bit = static_cast<std::size_t>(id);
  return ((masks_[mask_ * n_words() + bit / 64] >> (bit % 64)) & 1) != 0;
}

void TokenFilter::accept(std::int32_t id) {
  if (tokenizer_.is_end_of_generation(id)) return;
  path_[0] = state_;
  for (const char c : tokenizer_.token_bytes(id, false))
    path_[0] = step(1, static_cast<std::uint8_t>(c));
  state_ = path_[0];
  WINDLASS_CHECK(state_ != Matcher::kDead, id);
}

std::int64_t TokenFilter::size_bytes() const {
  const auto bytes = [](const auto& vector) {
    return static_cast<std::int64_t>(vector.capacity() * sizeof(vector[0]));
  };
  return matcher_.size_bytes() + bytes(order_) + bytes(n_shared_) + bytes(path_) + bytes(masks_) +
         bytes(keys_);
}

}  // namespace windlass
