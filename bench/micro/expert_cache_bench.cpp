// Which eviction order finds most experts in memory: hit rates of EvictionOrder with several
// half-lives and of what else is in use, on made-up routings. Not of speed: `expert_cache_bench`
// prints a table.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "pipeline/eviction_order.h"

namespace {

using windlass::EvictionOrder;

constexpr int kTokens = 3000, kWarmUpTokens = 500;

// How tokens choose among experts.
struct Routing {
  const char* name;
  int layers, experts, chosen;
  double zipf;       // exponent of popularity by rank; 0: even
  int topic_tokens;  // after so many tokens half of the ranks are dealt anew; 0: never
  double sticky;     // share of choices that repeat one of the token before
};

using Trace =
    std::vector<std::vector<int>>;  // [token * layers + layer]: keys, layer * experts + expert

class Router {
 public:
  explicit Router(const Routing& routing) : routing_(routing), random_(1) {
    std::vector<int> ranks(static_cast<std::size_t>(routing.experts));
    std::iota(ranks.begin(), ranks.end(), 0);
    for (int layer = 0; layer < routing.layers; ++layer) {
      std::shuffle(ranks.begin(), ranks.end(), random_);
      expert_at_rank_.push_back(ranks);
    }
    for (int rank = 0; rank < routing.experts; ++rank) {
      popularity_.push_back(1 / std::pow(rank + 1, routing.zipf));
    }
  }

  Trace trace() {
    Trace trace;
    for (int token = 0; token < kTokens; ++token) {
      if (routing_.topic_tokens > 0 && token % routing_.topic_tokens == 0) change_topic();
      for (int layer = 0; layer < routing_.layers; ++layer) {
        const auto* last = token > 0 ? &trace[trace.size() - layers()] : nullptr;
        trace.push_back(choose(layer, last));
      }
    }
    return trace;
  }

 private:
  std::size_t layers() const { return static_cast<std::size_t>(routing_.layers); }

  void change_topic() {
    for (std::vector<int>& experts : expert_at_rank_) {
      for (std::size_t i = 0; i < experts.size(); i += 2) {
        std::swap(experts[i], experts[random_() % experts.size()]);
      }
    }
  }

  std::vector<int> choose(int layer, const std::vector<int>* last) {
    std::discrete_distribution<std::size_t> rank(popularity_.begin(), popularity_.end());
    std::bernoulli_distribution stays(routing_.sticky);
    std::vector<int> keys;
    while (static_cast<int>(keys.size()) < routing_.chosen) {
      int key = layer * routing_.experts +
                expert_at_rank_[static_cast<std::size_t>(layer)][rank(random_)];
      if (last != nullptr && stays(random_)) key = (*last)[keys.size()];
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
    }
    return keys;
  }

  Routing routing_;
  std::mt19937_64 random_;
  std::vector<std::vector<int>> expert_at_rank_;  // by layer
  std::vector<double> popularity_;                // by rank
};

// A cache that holds `slots` keys; of those not used now, it drops the one that the policy names.
class Policy {
 public:
  virtual ~Policy() = default;
  virtual void begin_token(int) {}
  virtual void use(int key, bool was_there) = 0;  // it may not go until let_go
  virtual void let_go(int key) = 0;
  virtual int take_victim(int for_key) = 0;
};

// The key of the least value goes; a derived class says what a use makes the value.
class ByValue : public Policy {
 public:
  explicit ByValue(int keys) : value_(static_cast<std::size_t>(keys), 0.0) {}
  void use(int key, bool was_there) override {
    open_.erase({value(key), key});
    value(key) = next_value(key, was_there);
  }
  void let_go(int key) override { open_.insert({value(key), key}); }
  int take_victim(int) override {
    const int key = open_.begin()->second;
    open_.erase(open_.begin());
    return key;
  }

 protected:
  virtual double next_value(int key, bool was_there) = 0;
  double& value(int key) { return value_[static_cast<std::size_t>(key)]; }
  std::set<std::pair<double, int>> open_;
  std::vector<double> value_;
};

class Lru : public ByValue {
 public:
  using ByValue::ByValue;
  double next_value(int, bool) override { return ++clock_; }
  double clock_ = 0;
};

class Fifo : public Lru {
 public:
  using Lru::Lru;
  double next_value(int key, bool was_there) override { return was_there ? value(key) : ++clock_; }
};

class Random : public ByValue {
 public:
  using ByValue::ByValue;
  double next_value(int, bool) override { return std::uniform_real_distribution<>()(random_); }
  std::mt19937_64 random_;
};

class Lfu : public ByValue {
 public:
  using ByValue::ByValue;
  double next_value(int key, bool) override { return value(key) + 1; }
};

// What MoE offloading runtimes often do: an equal share of the slots for each layer, LRU in it.
class LruPerLayer : public Lru {
 public:
  LruPerLayer(int keys, int experts) : Lru(keys), experts_(experts) {}
  int take_victim(int for_key) override {
    for (auto it = open_.begin(); it != open_.end(); ++it) {
      if (it->second / experts_ != for_key / experts_) continue;
      const int key = it->second;
      open_.erase(it);
      return key;
    }
    return Lru::take_victim(for_key);
  }
  int experts_;
};

// Not a policy: it knows what comes (Belady).
class Clairvoyant : public ByValue {
 public:
  Clairvoyant(int keys, const Trace& trace) : ByValue(keys), uses_(static_cast<std::size_t>(keys)) {
    for (std::size_t i = 0; i < trace.size(); ++i) {
      for (const int key : trace[i])
        uses_[static_cast<std::size_t>(key)].push_back(static_cast<double>(i));
    }
  }
  double next_value(int key, bool) override {
    auto& uses = uses_[static_cast<std::size_t>(key)];
    uses.pop_front();
    return uses.empty() ? -std::numeric_limits<double>::infinity() : -uses.front();
  }
  std::vector<std::deque<double>> uses_;
};

class Ours : public Policy {
 public:
  Ours(int keys, double half_life_tokens) : order_(keys, half_life_tokens) {}
  void begin_token(int) override { order_.pass(1); }
  void use(int key, bool) override {
    if (order_.may_go(key)) order_.keep(key);
    order_.use(key, 1);
  }
  void let_go(int key) override { order_.let_go(key); }
  int take_victim(int) override {
    const int key = order_.first();
    order_.keep(key);
    return key;
  }

 private:
  EvictionOrder order_;
};

double hit_rate(const Routing& routing, const Trace& trace, int slots, Policy& policy) {
  std::vector<bool> there(static_cast<std::size_t>(routing.layers * routing.experts), false);
  std::int64_t hits = 0, uses = 0;
  int held = 0;
  for (std::size_t i = 0; i < trace.size(); ++i) {
    const int token = static_cast<int>(i) / routing.layers;
    if (i % static_cast<std::size_t>(routing.layers) == 0) policy.begin_token(token);
    const auto is_there = [&](int key) { return there[static_cast<std::size_t>(key)]; };
    for (const int key : trace[i]) {
      if (token >= kWarmUpTokens) ++uses, hits += is_there(key);
      policy.use(key, is_there(key));
    }
    for (const int key : trace[i]) {
      if (is_there(key)) continue;
      if (held == slots) {
        there[static_cast<std::size_t>(policy.take_victim(key))] = false;
      } else {
        ++held;
      }
      there[static_cast<std::size_t>(key)] = true;
    }
    for (const int key : trace[i]) policy.let_go(key);
  }
  return static_cast<double>(hits) / static_cast<double>(uses);
}

struct Row {
  std::string name;
  std::unique_ptr<Policy> policy;
};

std::vector<Row> policies(const Routing& routing, const Trace& trace) {
  const int keys = routing.layers * routing.experts;
  std::vector<Row> rows;
  rows.push_back({"random", std::make_unique<Random>(keys)});
  rows.push_back({"FIFO", std::make_unique<Fifo>(keys)});
  rows.push_back({"LRU", std::make_unique<Lru>(keys)});
  rows.push_back({"LRU per layer", std::make_unique<LruPerLayer>(keys, routing.experts)});
  rows.push_back({"LFU, no ageing", std::make_unique<Lfu>(keys)});
  for (const double half_life : {8, 32, 64, 128, 256, 1024}) {
    rows.push_back(
        {fmt::format("LRFU, half-life {}", half_life), std::make_unique<Ours>(keys, half_life)});
  }
  rows.push_back({"(knows the future)", std::make_unique<Clairvoyant>(keys, trace)});
  return rows;
}

void print_table(const Routing& routing) {
  constexpr int kPercent[] = {5, 10, 25, 50, 75};
  const Trace trace = Router(routing).trace();
  fmt::print("\n{}: {} layers, {} of {} experts\n\n| hit rate, % |", routing.name, routing.layers,
             routing.chosen, routing.experts);
  for (const int percent : kPercent) fmt::print(" {} % cached |", percent);
  fmt::print("\n|---|---|---|---|---|---|\n");
  std::vector<std::string> lines;
  for (const int percent : kPercent) {
    std::size_t line = 0;
    for (Row& row : policies(routing, trace)) {
      if (line == lines.size()) lines.push_back("| " + row.name + " |");
      const int slots = routing.layers * routing.experts * percent / 100;
      lines[line++] += fmt::format(" {:.1f} |", 100 * hit_rate(routing, trace, slots, *row.policy));
    }
  }
  for (const std::string& line : lines) fmt::print("{}\n", line);
}

}  // namespace

int main() {
  for (const Routing& routing : {
           Routing{"even routing", 24, 64, 6, 0, 0, 0},
           Routing{"Zipf 0.6", 24, 64, 6, 0.6, 0, 0},
           Routing{"Zipf 1.0", 24, 64, 6, 1.0, 0, 0},
           Routing{"Zipf 0.6, a new topic every 200 tokens", 24, 64, 6, 0.6, 200, 0},
           Routing{"Zipf 1.0, a new topic every 200 tokens", 24, 64, 6, 1.0, 200, 0},
           Routing{"Zipf 0.6, 30 % of choices as the token before", 24, 64, 6, 0.6, 0, 0.3},
           Routing{"few large experts: Zipf 0.3, 30 % as before", 32, 8, 2, 0.3, 0, 0.3},
           Routing{"few large experts: Zipf 0.6, topics of 200", 32, 8, 2, 0.6, 200, 0},
       }) {
    print_table(routing);
  }
}
