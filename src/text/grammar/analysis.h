// What must be known of a grammar before it is matched: which nodes can be completed, and whether a
// rule can begin with itself.
#pragma once

#include <cstdint>
#include <vector>

#include "src/text/grammar/automaton.h"

namespace windlass {

struct GrammarAnalysis {
  std::vector<bool> live;                 // by node: some text leads to the end of its rule
  std::int32_t left_recursive_rule = -1;  // one of them; -1: none
};

// Linear in the nodes and ranges.
GrammarAnalysis analyse_grammar(const Automaton& automaton);

}  // namespace windlass
