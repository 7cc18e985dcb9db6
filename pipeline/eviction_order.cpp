#include "pipeline/eviction_order.h"

#include <cmath>
#include <utility>

#include "src/base/check.h"

namespace windlass {
namespace {

constexpr double kMostWeight = 1e100;  // then all counts are scaled down: far from overflow

}  // namespace

EvictionOrder::EvictionOrder(std::int64_t n_keys, double half_life_tokens)
    : growth_(std::exp2(1 / half_life_tokens)),
      count_(static_cast<std::size_t>(n_keys), 0.0),
      place_(static_cast<std::size_t>(n_keys), -1) {
  heap_.reserve(static_cast<std::size_t>(n_keys));
}

void EvictionOrder::pass(std::int64_t tokens) {
  weight_ *= std::pow(growth_, static_cast<double>(tokens));
  if (weight_ < kMostWeight) return;
  for (double& count : count_) count /= weight_;
  weight_ = 1;
}

void EvictionOrder::use(std::int32_t key, std::int64_t tokens) {
  WINDLASS_CHECK(!may_go(key), key);
  count_[static_cast<std::size_t>(key)] += weight_ * static_cast<double>(tokens);
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

// Equal counts go by key, so that the same steps always leave the same cache.
bool EvictionOrder::before(std::int32_t a, std::int32_t b) const {
  const double count_a = count_[static_cast<std::size_t>(a)],
               count_b = count_[static_cast<std::size_t>(b)];
  return count_a < count_b || (count_a == count_b && a < b);
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
