// Grammar rules compiled for matching: a recursive transition network over bytes. Immutable.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/text/grammar/expression.h"

namespace windlass {

enum class NodeKind : std::uint8_t {
  kBytes,  // one byte of ranges[a, a + b), each with the node that comes after
  kSplit,  // node a or node b
  kCall,   // rule a, then node b
  kEnd,    // of the rule
};

struct GrammarNode {
  NodeKind kind = NodeKind::kEnd;
  bool live = false;  // some text leads from here to the end of the rule
  std::int32_t a = 0, b = 0;
};

struct ByteRange {
  std::uint8_t first, last;
  std::int32_t next;
};

struct Automaton {
  std::vector<GrammarNode> nodes;
  std::vector<ByteRange> ranges;
  std::vector<std::int32_t> entries;  // first node of each rule
  std::int32_t root = 0;              // rule

  std::int64_t size_bytes() const;
};

// Error(kUsage) for left recursion (it has no first byte to decide by), a root that no finite text
// satisfies, and more nodes than kMostGrammarNodes; `what` begins the message ("grammar"). Time is
// linear in the nodes made.
Automaton compile_grammar(const GrammarRules& rules, const std::string& what);

inline constexpr std::size_t kMostGrammarNodes = 1 << 18;  // 12 B each, and 8 B a range

}  // namespace windlass
