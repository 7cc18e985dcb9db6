#include "src/text/grammar/automaton.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "src/base/error.h"
#include "src/text/grammar/analysis.h"
#include "src/text/grammar/utf8_ranges.h"

namespace windlass {
namespace {

// A repeated part of up to this many nodes in all is copied; a larger one becomes a rule of its own
// that the copies call, so that {1000}{1000} stays small.
constexpr std::int64_t kMostCopiedNodes = 64;

// Emits nodes from the end to the beginning: each expression is given the node that comes after.
class Compiler {
 public:
  Compiler(const GrammarRules& rules, const std::string& what) : what_(what) {
    for (const GrammarRule& rule : rules.rules) {
      bodies_.push_back(&rule.body);
      names_.push_back(&rule.name);
    }
    automaton_.root = rules.root;
  }

  Automaton compile() {
    for (std::size_t i = 0; i < bodies_.size(); ++i) {  // grows by parts that become rules
      rule_ = i;
      const std::int32_t end = add({NodeKind::kEnd, false, 0, 0});
      const std::int32_t entry = emit(*bodies_[i], end);
      automaton_.entries.push_back(entry);
    }
    const GrammarAnalysis analysis = analyse_grammar(automaton_);
    if (analysis.left_recursive_rule >= 0) {
      fail(ErrorCode::kUsage, "{}: rule {} is left-recursive: it begins with itself", what_,
           *names_[static_cast<std::size_t>(analysis.left_recursive_rule)]);
    }
    for (std::size_t i = 0; i < automaton_.nodes.size(); ++i)
      automaton_.nodes[i].live = analysis.live[i];
    const auto root = static_cast<std::size_t>(automaton_.root);
    if (!analysis.live[static_cast<std::size_t>(automaton_.entries[root])]) {
      fail(ErrorCode::kUsage, "{}: no text can satisfy it: {} never comes to an end", what_,
           *names_[root]);
    }
    automaton_.nodes.shrink_to_fit();
    automaton_.ranges.shrink_to_fit();
    return std::move(automaton_);
  }

 private:
  std::int32_t add(const GrammarNode& node) {
    if (automaton_.nodes.size() + automaton_.ranges.size() >= kMostGrammarNodes) {
      fail(ErrorCode::kUsage, "{}: too large: more than {} steps in all (in {}); repeat less",
           what_, kMostGrammarNodes, *names_[rule_]);
    }
    automaton_.nodes.push_back(node);
    return static_cast<std::int32_t>(automaton_.nodes.size() - 1);
  }
  std::int32_t add_bytes(std::uint8_t first, std::uint8_t last, std::int32_t next) {
    const auto range = static_cast<std::int32_t>(automaton_.ranges.size());
    automaton_.ranges.push_back({first, last, next});
    return add({NodeKind::kBytes, false, range, 1});
  }

  std::int32_t emit(const Expression& e, std::int32_t next) {
    switch (e.kind) {
      case Expression::Kind::kLiteral:
        for (std::size_t i = e.text.size(); i-- > 0;) {
          const auto byte = static_cast<std::uint8_t>(e.text[i]);
          next = add_bytes(byte, byte, next);
        }
        return next;
      case Expression::Kind::kClass:
        return emit_class(e, next);
      case Expression::Kind::kSequence:
        for (std::size_t i = e.children.size(); i-- > 0;) next = emit(e.children[i], next);
        return next;
      case Expression::Kind::kChoice:
        return emit_choice(e, next);
      case Expression::Kind::kRepeat:
        return emit_repeat(e, next);
      case Expression::Kind::kRule:
        return add({NodeKind::kCall, false, e.rule, next});
    }
    return next;
  }

  std::int32_t emit_choice(const Expression& e, std::int32_t next) {
    if (e.children.empty()) return emit_class(Expression::one_of({}), next);
    std::int32_t node = emit(e.children.back(), next);
    for (std::size_t i = e.children.size() - 1; i-- > 0;) {
      const std::int32_t choice = emit(e.children[i], next);
      node = add({NodeKind::kSplit, false, choice, node});
    }
    return node;
  }

  // One node with a range for each sequence's first byte; equal ends of sequences are shared.
  std::int32_t emit_class(const Expression& e, std::int32_t next) {
    std::vector<Utf8Sequence> sequences;
    for (const CodeRange& range : e.ranges) append_utf8_sequences(range, sequences);
    std::map<std::tuple<std::uint8_t, std::uint8_t, std::int32_t>, std::int32_t> shared;
    std::vector<ByteRange> first_bytes;
    for (const Utf8Sequence& sequence : sequences) {
      std::int32_t node = next;
      for (std::size_t i = sequence.size_bytes; i-- > 1;) {
        std::int32_t& known =
            shared.try_emplace({sequence.first[i], sequence.last[i], node}, -1).first->second;
        if (known < 0) known = add_bytes(sequence.first[i], sequence.last[i], node);
        node = known;
      }
      first_bytes.push_back({sequence.first[0], sequence.last[0], node});
    }
    const auto begin = static_cast<std::int32_t>(automaton_.ranges.size());
    automaton_.ranges.insert(automaton_.ranges.end(), first_bytes.begin(), first_bytes.end());
    return add({NodeKind::kBytes, false, begin, static_cast<std::int32_t>(first_bytes.size())});
  }

  std::int32_t emit_repeat(const Expression& e, std::int32_t next) {
    const Expression& child = e.children[0];
    const std::int64_t copies = std::max(e.least, e.most);
    const std::int64_t size = n_nodes(child);
    const bool as_rule = copies > 1 && size > 2 && size * copies > kMostCopiedNodes;
    const std::int32_t rule = as_rule ? rule_of(child) : -1;
    const auto copy = [&](std::int32_t after) {
      return as_rule ? add({NodeKind::kCall, false, rule, after}) : emit(child, after);
    };
    std::int32_t node = next;
    if (e.most < 0) {
      const std::int32_t loop = add({NodeKind::kSplit, false, 0, next});
      const std::int32_t body = copy(loop);
      automaton_.nodes[static_cast<std::size_t>(loop)].a = body;
      node = loop;
    } else {
      for (std::int64_t i = e.least; i < e.most; ++i)
        node = add({NodeKind::kSplit, false, copy(node), next});
    }
    for (std::int64_t i = 0; i < e.least; ++i) node = copy(node);
    return node;
  }

  std::int32_t rule_of(const Expression& part) {
    const auto [entry, fresh] =
        parts_.try_emplace(&part, static_cast<std::int32_t>(bodies_.size()));
    if (fresh) {
      bodies_.push_back(&part);
      names_.push_back(names_[rule_]);
    }
    return entry->second;
  }

  // About as many as emit() would add; large counts are cut off.
  std::int64_t n_nodes(const Expression& e) {
    const auto [entry, fresh] = sizes_.try_emplace(&e, 1);
    if (!fresh) return entry->second;
    std::int64_t n = 1 + static_cast<std::int64_t>(e.text.size() + e.ranges.size());
    for (const Expression& child : e.children) n += n_nodes(child);
    if (e.kind == Expression::Kind::kRepeat) n *= std::max<std::int64_t>({1, e.least, e.most});
    n = std::min<std::int64_t>(n, 1 << 20);
    sizes_[&e] = n;
    return n;
  }

  const std::string& what_;
  Automaton automaton_;
  std::vector<const Expression*> bodies_;  // by rule
  std::vector<const std::string*> names_;  // of the rule it was written in
  std::map<const Expression*, std::int32_t> parts_;
  std::map<const Expression*, std::int64_t> sizes_;
  std::size_t rule_ = 0;
};

}  // namespace

std::int64_t Automaton::size_bytes() const {
  return static_cast<std::int64_t>(nodes.capacity() * sizeof(nodes[0]) +
                                   ranges.capacity() * sizeof(ranges[0]) +
                                   entries.capacity() * sizeof(entries[0]));
}

Automaton compile_grammar(const GrammarRules& rules, const std::string& what) {
  return Compiler(rules, what).compile();
}

}  // namespace windlass
