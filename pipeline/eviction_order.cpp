#include "pipeline/eviction_order.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

#include "src/base/check.h"

namespace windlass {
namespace {

constexpr double kMostWeight = 1e100;  // then all counts are scaled down: far from overflow
// Of the shares of repeats, a use: a token uses some hundred matrices, so about 20 tokens.
constexpr double kRepeatRate = 1.0 / 4096;
// What was used 4 to 7 tokens before is used again because it is popular, not because it was used.
constexpr std::uint32_t kLastToken = 1U << 1, kEarlierTokens = 0xFU << 4;

}  // namespace

EvictionOrder::EvictionOrder(std::int64_t n_keys, double half_life_tokens)
    : half_life_tokens_(half_life_tokens),
      keys_(static_cast<std::size_t>(n_keys)),
      place_(static_cast<std::size_t>(n_keys), -1),
      recent_(static_cast<std::size_t>(n_keys)) {
  heap_.reserve(static_cast<std::size_t>(n_keys));
}

void EvictionOrder::begin_step(std::int64_t tokens, std::int64_t n_routings) {
  tokens_ += tokens;
  step_tokens_ = tokens;
  n_routings_ = n_routings;
  weight_ *= std::exp2(static_cast<double>(tokens) / half_life_tokens_);
  if (weight_ >= kMostWeight) rescale();
}

void EvictionOrder::rescale() {
  for (Key& key : keys_) {
    key.count /= weight_;
    key.bonus /= weight_;
  }
  weight_ = 1;
}

// What the last token wanted of this group has had its turn, but for what is used again now.
void EvictionOrder::begin_routing() {
  ++routings_;
  while (n_recent_ > 0) {
    const std::int32_t key = recent_[recent_begin_];
    if (at(key).routing > routings_ - n_routings_) return;
    at(key).bonus = 0;
    recent_begin_ = (recent_begin_ + 1) % recent_.size();
    --n_recent_;
    if (may_go(key)) sift_up(static_cast<std::size_t>(place_[static_cast<std::size_t>(key)]));
  }
}

void EvictionOrder::use(std::int32_t key, std::int64_t tokens) {
  WINDLASS_CHECK(!may_go(key), key);
  Key& used = at(key);
  used.count += weight_ * static_cast<double>(tokens);
  if (step_tokens_ == 1) {
    note_repeats(used);
    push_recent(key);
  } else {
    used.history = 0;
  }
  used.last_use = tokens_;
}

void EvictionOrder::note_repeats(Key& key) {
  const std::int64_t gap = tokens_ - key.last_use;
  key.history = gap < 32 ? key.history << gap : 0;
  const double earlier = std::popcount(key.history & kEarlierTokens) / 4.0;
  repeats_ += kRepeatRate * ((key.history & kLastToken ? 1.0 : 0.0) - repeats_);
  chances_ += kRepeatRate * (earlier - chances_);
  key.history |= 1;
}

double EvictionOrder::repeat_share() const {
  constexpr double kAll = 0.999;  // everything is used always
  return chances_ < kAll ? std::clamp((repeats_ - chances_) / (1 - chances_), 0.0, 1.0) : 0.0;
}

// In counts: a key that each token uses has half_life / ln 2 of them.
void EvictionOrder::push_recent(std::int32_t key) {
  Key& used = at(key);
  if (used.bonus > 0 || n_recent_ == recent_.size()) return;
  used.bonus = repeat_share() * weight_ * half_life_tokens_ / std::numbers::ln2;
  if (used.bonus <= 0) return;
  used.routing = routings_;
  recent_[(recent_begin_ + n_recent_) % recent_.size()] = key;
  ++n_recent_;
}

void EvictionOrder::let_go(std::int32_t key) {
  WINDLASS_CHECK(!may_go(key), key);
  heap_.push_back(key);
  place_[static_cast<std::size_t>(key)] = static_cast<std::int32_t>(heap_.size()) - 1;
  sift_up(heap_.size() - 1);
}

void EvictionOrder::keep(std::int32_t key) {
  WINDLASS_CHECK(may_go(key), key);
  const auto place = static_cast<std::size_t>(place_[static_cast<std::size_t>(key)]);
  place_[static_cast<std::size_t>(key)] = -1;
  const std::int32_t last = heap_.back();
  heap_.pop_back();
  if (last == key) return;
  put(place, last);
  sift_up(place);
  sift_down(static_cast<std::size_t>(place_[static_cast<std::size_t>(last)]));
}

// Equal values go by key, so that the same steps always leave the same cache.
bool EvictionOrder::before(std::int32_t a, std::int32_t b) const {
  const double value_a = value(a), value_b = value(b);
  return value_a < value_b || (value_a == value_b && a < b);
}

void EvictionOrder::put(std::size_t place, std::int32_t key) {
  heap_[place] = key;
  place_[static_cast<std::size_t>(key)] = static_cast<std::int32_t>(place);
}

void EvictionOrder::sift_up(std::size_t place) {
  const std::int32_t key = heap_[place];
  while (place > 0) {
    const std::size_t parent = (place - 1) / 2;
    if (!before(key, heap_[parent])) break;
    put(place, heap_[parent]);
    place = parent;
  }
  put(place, key);
}

void EvictionOrder::sift_down(std::size_t place) {
  const std::int32_t key = heap_[place];
  while (2 * place + 1 < heap_.size()) {
    std::size_t child = 2 * place + 1;
    if (child + 1 < heap_.size() && before(heap_[child + 1], heap_[child])) ++child;
    if (!before(heap_[child], key)) break;
    put(place, heap_[child]);
    place = child;
  }
  put(place, key);
}

}  // namespace windlass
