#include "src/text/grammar/analysis.h"

#include <algorithm>

namespace windlass {
namespace {

std::size_t at(std::int32_t index) { return static_cast<std::size_t>(index); }

// Least fixed point of a property that holds at the end of a rule, at a split if it holds for one
// side, at a call if it holds for the rule and what follows, and, if `through_bytes`, at bytes of
// which one leads to it.
class Fixpoint {
 public:
  Fixpoint(const Automaton& automaton, bool through_bytes)
      : automaton_(automaton), holds_(automaton.nodes.size()) {
    build_dependents(through_bytes);
    for (std::size_t i = 0; i < automaton.nodes.size(); ++i) {
      if (automaton.nodes[i].kind == NodeKind::kEnd) reach(static_cast<std::int32_t>(i));
    }
    while (!ready_.empty()) {
      const std::int32_t node = ready_.back();
      ready_.pop_back();
      for (std::size_t i = begin_[at(node)]; i < begin_[at(node) + 1]; ++i)
        consider(dependents_[i]);
    }
  }
  std::vector<bool> take() { return std::move(holds_); }

 private:
  template <typename Visit>
  void for_each_need(const GrammarNode& node, bool through_bytes, Visit visit) const {
    switch (node.kind) {
      case NodeKind::kBytes:
        for (std::int32_t i = 0; through_bytes && i < node.b; ++i)
          visit(automaton_.ranges[at(node.a + i)].next);
        return;
      case NodeKind::kSplit:
        visit(node.a);
        return visit(node.b);
      case NodeKind::kCall:
        visit(automaton_.entries[at(node.a)]);
        return visit(node.b);
      case NodeKind::kEnd:
        return;
    }
  }

  void build_dependents(bool through_bytes) {
    begin_.assign(automaton_.nodes.size() + 2, 0);
    for (const GrammarNode& node : automaton_.nodes)
      for_each_need(node, through_bytes, [&](std::int32_t need) { ++begin_[at(need) + 2]; });
    for (std::size_t i = 2; i < begin_.size(); ++i) begin_[i] += begin_[i - 1];
    dependents_.resize(begin_.back());
    for (std::size_t i = 0; i < automaton_.nodes.size(); ++i) {
      for_each_need(automaton_.nodes[i], through_bytes, [&](std::int32_t need) {
        dependents_[begin_[at(need) + 1]++] = static_cast<std::int32_t>(i);
      });
    }
  }

  void reach(std::int32_t node) {
    if (holds_[at(node)]) return;
    holds_[at(node)] = true;
    ready_.push_back(node);
  }
  // A need of this node has just come true: one is enough but for a call.
  void consider(std::int32_t index) {
    const GrammarNode& node = automaton_.nodes[at(index)];
    if (node.kind == NodeKind::kCall &&
        !(holds_[at(automaton_.entries[at(node.a)])] && holds_[at(node.b)])) {
      return;
    }
    reach(index);
  }

  const Automaton& automaton_;
  std::vector<bool> holds_;
  std::vector<std::int32_t> ready_;
  std::vector<std::size_t> begin_;  // node i is needed by dependents_[begin_[i], begin_[i + 1])
  std::vector<std::int32_t> dependents_;
};

// The rules that each rule can call before it has read a byte.
std::vector<std::vector<std::int32_t>> first_calls(const Automaton& automaton,
                                                   const std::vector<bool>& nullable) {
  std::vector<std::vector<std::int32_t>> calls(automaton.entries.size());
  std::vector<bool> seen(automaton.nodes.size());  // nodes belong to one rule each
  std::vector<std::int32_t> open;
  for (std::size_t rule = 0; rule < automaton.entries.size(); ++rule) {
    open.push_back(automaton.entries[rule]);
    while (!open.empty()) {
      const std::int32_t index = open.back();
      open.pop_back();
      if (seen[at(index)]) continue;
      seen[at(index)] = true;
      const GrammarNode& node = automaton.nodes[at(index)];
      if (node.kind == NodeKind::kSplit) {
        open.push_back(node.a);
        open.push_back(node.b);
      } else if (node.kind == NodeKind::kCall) {
        calls[rule].push_back(node.a);
        if (nullable[at(automaton.entries[at(node.a)])]) open.push_back(node.b);
      }
    }
  }
  return calls;
}

// A rule on a cycle of the graph, or -1. Depth first without recursion: the depth is the input's.
std::int32_t rule_on_cycle(const std::vector<std::vector<std::int32_t>>& calls) {
  enum class Mark : std::uint8_t { kNew, kOpen, kDone };
  std::vector<Mark> marks(calls.size(), Mark::kNew);
  std::vector<std::pair<std::int32_t, std::size_t>> path;  // rule, next call to follow
  for (std::size_t start = 0; start < calls.size(); ++start) {
    if (marks[start] != Mark::kNew) continue;
    path.emplace_back(static_cast<std::int32_t>(start), 0);
    marks[start] = Mark::kOpen;
    while (!path.empty()) {
      auto& [rule, next] = path.back();
      if (next == calls[at(rule)].size()) {
        marks[at(rule)] = Mark::kDone;
        path.pop_back();
        continue;
      }
      const std::int32_t callee = calls[at(rule)][next++];
      if (marks[at(callee)] == Mark::kOpen) return callee;
      if (marks[at(callee)] == Mark::kDone) continue;
      marks[at(callee)] = Mark::kOpen;
      path.emplace_back(callee, 0);
    }
  }
  return -1;
}

}  // namespace

GrammarAnalysis analyse_grammar(const Automaton& automaton) {
  GrammarAnalysis analysis;
  analysis.left_recursive_rule =
      rule_on_cycle(first_calls(automaton, Fixpoint(automaton, false).take()));
  analysis.live = Fixpoint(automaton, true).take();
  return analysis;
}

}  // namespace windlass
