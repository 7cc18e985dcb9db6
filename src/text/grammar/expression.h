// Grammar rules as trees: what the GBNF parser and the JSON schema converter make, and the
// automaton is compiled from.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace windlass {

struct CodeRange {
  std::int32_t first, last;  // code points, both in it
};

struct Expression {
  enum class Kind : std::uint8_t {
    kLiteral,   // text, UTF-8; empty: nothing
    kClass,     // one character of ranges
    kSequence,  // all of children
    kChoice,    // one of children; of none: what never matches
    kRepeat,    // children[0], least to most times
    kRule,      // another rule
  };
  Kind kind = Kind::kLiteral;
  std::string text;
  std::vector<CodeRange> ranges;
  std::vector<Expression> children;
  std::int64_t least = 0, most = 0;  // most -1: no end
  std::int32_t rule = -1;

  static Expression literal(std::string text) {
    Expression e;
    e.text = std::move(text);
    return e;
  }
  static Expression one_of(std::vector<CodeRange> ranges) {
    Expression e;
    e.kind = Kind::kClass;
    e.ranges = std::move(ranges);
    return e;
  }
  static Expression sequence(std::vector<Expression> children) {
    Expression e;
    e.kind = Kind::kSequence;
    e.children = std::move(children);
    return e;
  }
  static Expression choice(std::vector<Expression> children) {
    Expression e;
    e.kind = Kind::kChoice;
    e.children = std::move(children);
    return e;
  }
  static Expression repeat(Expression child, std::int64_t least, std::int64_t most) {
    Expression e;
    e.kind = Kind::kRepeat;
    e.children.push_back(std::move(child));
    e.least = least;
    e.most = most;
    return e;
  }
  static Expression call(std::int32_t rule) {
    Expression e;
    e.kind = Kind::kRule;
    e.rule = rule;
    return e;
  }
};

struct GrammarRule {
  std::string name;
  Expression body;
};

struct GrammarRules {
  std::vector<GrammarRule> rules;  // kRule's numbers are indices into it
  std::int32_t root = 0;
};

// Sorted, without overlaps or neighbours that touch.
std::vector<CodeRange> merge_ranges(std::vector<CodeRange> ranges);
// All Unicode scalar values that are not in `ranges`.
std::vector<CodeRange> negate_ranges(std::vector<CodeRange> ranges);

}  // namespace windlass
