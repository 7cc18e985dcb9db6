// One function for each setting, by its "type".
#include "src/text/hf_steps.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <utility>

#include "src/base/error.h"
#include "src/text/bert_text.h"
#include "src/text/split_families.h"
#include "src/text/token_forms.h"

namespace windlass {
namespace {

// Every character of a literal that means something in an expression, escaped.
std::string escaped(std::string_view literal) {
  std::string expression;
  for (const char c : literal) {
    if (static_cast<signed char>(c) >= 0 && std::isalnum(c) == 0 && c != ' ') expression += '\\';
    expression += c;
  }
  return expression;
}

struct Pattern {
  bool is_expression;
  std::string text;
};

// {"String": "x"} or {"Regex": "x"}.
Pattern pattern_of(const HfNode& node) {
  const HfNode pattern = node.child("pattern");
  const bool is_expression = !pattern.at("Regex").is_null();
  const std::string text = pattern.text(is_expression ? "Regex" : "String", "");
  if (text.empty()) node.fail_value("pattern", "a String or a Regex");
  return {is_expression, text};
}

std::string source_of(const HfNode& node) { return node.path() + ": " + node.name(); }

Regex regex_of(const HfNode& node) {
  const Pattern pattern = pattern_of(node);
  if (!pattern.is_expression) return Regex(escaped(pattern.text), source_of(node));
  return Regex(pattern.text, source_of(node), RegexSyntax::kOniguruma);
}

std::string decoded_base64(const std::string& text, const HfNode& node) {
  std::string bytes;
  std::uint32_t bits = 0;
  int n_bits = 0;
  for (const char c : text) {
    if (c == '=') break;
    const std::string_view digits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const std::size_t digit = digits.find(c);
    if (digit == std::string_view::npos) node.fail_value("precompiled_charsmap", "base64");
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    n_bits += 6;
    if (n_bits >= 8) {
      n_bits -= 8;
      bytes += static_cast<char>(bits >> n_bits & 0xFFu);
    }
  }
  return bytes;
}

void add_replace(const HfNode& node, Normalizer& normalizer) {
  const Pattern pattern = pattern_of(node);
  const std::string content = node.text("content", "");
  if (pattern.is_expression) {
    normalizer.add(
        ReplaceMatches{Regex(pattern.text, source_of(node), RegexSyntax::kOniguruma), content});
  } else {
    normalizer.add(ReplaceText{pattern.text, content});
  }
}

void add_bert(const HfNode& node, Normalizer& normalizer) {
  const bool lowercases = node.flag("lowercase", true);
  add_bert_normalizer({.cleans = node.flag("clean_text", true),
                       .drops_control_space = true,
                       .spaces_chinese = node.flag("handle_chinese_chars", true),
                       // Not said: as it is with lower case.
                       .strips_accents = node.flag("strip_accents", lowercases),
                       .lowercases = lowercases},
                      normalizer);
}

struct NormalizerType {
  const char* name;
  void (*add)(const HfNode& node, Normalizer& normalizer);
};

constexpr NormalizerType kNormalizers[] = {
    {"Sequence",
     [](const HfNode& node, Normalizer& to) {
       for (const HfNode& child : node.children("normalizers")) add_hf_normalizer(child, to);
     }},
    {"NFC", [](const HfNode&, Normalizer& to) { to.add(UnicodeForm::kNfc); }},
    {"NFD", [](const HfNode&, Normalizer& to) { to.add(UnicodeForm::kNfd); }},
    {"NFKC", [](const HfNode&, Normalizer& to) { to.add(UnicodeForm::kNfkc); }},
    {"NFKD", [](const HfNode&, Normalizer& to) { to.add(UnicodeForm::kNfkd); }},
    {"Lowercase", [](const HfNode&, Normalizer& to) { to.add(Lowercase{}); }},
    {"StripAccents", [](const HfNode&, Normalizer& to) { to.add(StripAccents{}); }},
    {"Strip",
     [](const HfNode& node, Normalizer& to) {
       to.add(StripSpaces{node.flag("strip_left", true), node.flag("strip_right", true)});
     }},
    {"Prepend",
     [](const HfNode& node, Normalizer& to) { to.add(Prepend{node.text("prepend", "")}); }},
    {"Replace", add_replace},
    {"BertNormalizer", add_bert},
    {"Precompiled", [](const HfNode& node,
                       Normalizer& to) { to.add(Charsmap(hf_charsmap(node), source_of(node))); }},
};

SplitBehavior behavior_of(const HfNode& node, const char* otherwise) {
  constexpr std::pair<const char*, SplitBehavior> kBehaviors[] = {
      {"Isolated", SplitBehavior::kIsolated},
      {"Removed", SplitBehavior::kRemoved},
      {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      {"MergedWithNext", SplitBehavior::kMergedWithNext},
      {"Contiguous", SplitBehavior::kContiguous}};
  const std::string name = node.text("behavior", otherwise);
  for (const auto& [known, behavior] : kBehaviors) {
    if (name == known) return behavior;
  }
  node.fail_value("behavior",
                  "one of Isolated, Removed, MergedWithPrevious, MergedWithNext, "
                  "Contiguous");
}

// What a pre_tokenizer's parts are added to.
struct Splits {
  PreTokenizer& to;
  HfSplits found;

  void regex(const HfNode& node, const char* expression, SplitBehavior behavior,
             bool invert = false) {
    to.add(RegexSplit{Regex(expression, source_of(node)), behavior, invert});
  }
};

void add_byte_level(const HfNode& node, Splits& splits) {
  if (node.flag("add_prefix_space", true)) splits.to.add(SpacePrefix{});
  if (node.flag("use_regex", true)) {
    splits.regex(node, find_split_family("gpt-2", node.path()).expressions[0],
                 SplitBehavior::kIsolated);
  }
  splits.found.byte_level = true;
}

void add_metaspace(const HfNode& node, Splits& splits) {
  const std::string mark = node.text("replacement", kSpaceMark.data());
  if (mark != kSpaceMark) node.fail_value("replacement", "U+2581, the only one supported");
  const std::string scheme =
      node.text("prepend_scheme", node.flag("add_prefix_space", true) ? "always" : "never");
  MetaspaceSplit split{MetaspaceSplit::Prepend::kAlways, node.flag("split", true)};
  if (scheme == "never")
    split.prepend = MetaspaceSplit::Prepend::kNever;
  else if (scheme == "first")
    split.prepend = MetaspaceSplit::Prepend::kFirst;
  else if (scheme != "always")
    node.fail_value("prepend_scheme", "one of always, first, never");
  splits.to.add(split);
  splits.found.metaspace = true;
}

struct SplitType {
  const char* name;
  void (*add)(const HfNode& node, Splits& splits);
};

// "Sequence" is taken apart before.
constexpr SplitType kSplits[] = {
    {"ByteLevel", add_byte_level},
    {"Split",
     [](const HfNode& node, Splits& splits) {
       splits.to.add(RegexSplit{regex_of(node), behavior_of(node, ""), node.flag("invert", false)});
     }},
    {"Digits",
     [](const HfNode& node, Splits& splits) {
       splits.regex(node, R"(\p{N})",
                    node.flag("individual_digits", false) ? SplitBehavior::kIsolated
                                                          : SplitBehavior::kContiguous);
     }},
    {"Punctuation",
     [](const HfNode& node, Splits& splits) {
       splits.regex(node, kPunctuation, behavior_of(node, "Isolated"));
     }},
    {"Whitespace",
     [](const HfNode& node, Splits& splits) {
       // Rust's \w has the joiners too.
       splits.regex(node, R"([\w\x{200C}\x{200D}]+|[^\w\x{200C}\x{200D}\s]+)",
                    SplitBehavior::kRemoved, true);
     }},
    {"WhitespaceSplit",
     [](const HfNode& node, Splits& splits) {
       splits.regex(node, R"(\s+)", SplitBehavior::kRemoved);
     }},
    {"BertPreTokenizer", [](const HfNode&, Splits& splits) { add_bert_splits(splits.to); }},
    {"CharDelimiterSplit",
     [](const HfNode& node, Splits& splits) {
       splits.regex(node, escaped(node.text("delimiter", " ")).c_str(), SplitBehavior::kRemoved);
     }},
    {"Metaspace", add_metaspace},
};

void flatten(const HfNode& node, const char* list, std::vector<HfNode>& leaves) {
  if (node.is_null()) return;
  if (node.type() != "Sequence") {
    leaves.push_back(node);
    return;
  }
  for (const HfNode& child : node.children(list)) flatten(child, list, leaves);
}

template <typename Types>
std::vector<std::string> names_of(const Types& types) {
  std::vector<std::string> names;
  for (const auto& type : types) names.emplace_back(type.name);
  return names;
}

std::int32_t template_id(const HfNode& node, const nlohmann::json& value) {
  if (!value.is_number_integer() || value < 0 || value > INT32_MAX) {
    fail(ErrorCode::kBadFile, "{}: {} has a token without an id", node.path(), node.name());
  }
  return value.get<std::int32_t>();
}

// "single": tokens before and after the text "A".
void read_template(const HfNode& node, HfTemplate& found) {
  bool seen_text = false;
  for (const HfNode& part : node.children("single")) {
    if (!part.at("Sequence").is_null()) {
      seen_text = true;
      continue;
    }
    const std::string token = part.child("SpecialToken").text("id", "");
    const HfNode named = node.child("special_tokens").child(token.c_str());
    const nlohmann::json& ids = named.at("ids");
    if (!ids.is_array()) node.fail_value("special_tokens", "a table with the template's tokens");
    for (const nlohmann::json& id : ids) {
      (seen_text ? found.suffix_ids : found.prefix_ids).push_back(template_id(node, id));
    }
  }
}

// RobertaProcessing, BertProcessing: "cls" before and "sep" after, each [token, id].
void read_pair(const HfNode& node, HfTemplate& found) {
  const auto id_of = [&](const char* key) {
    const nlohmann::json& pair = node.at(key);
    if (!pair.is_array() || pair.size() != 2) node.fail_value(key, "a token with its id");
    return template_id(node, pair[1]);
  };
  found.prefix_ids.push_back(id_of("cls"));
  found.suffix_ids.push_back(id_of("sep"));
}

}  // namespace

std::vector<HfNode> hf_leaves(const HfNode& node, const char* list) {
  std::vector<HfNode> leaves;
  flatten(node, list, leaves);
  return leaves;
}

std::string hf_charsmap(const HfNode& precompiled) {
  return decoded_base64(precompiled.text("precompiled_charsmap", ""), precompiled);
}

void add_hf_normalizer(const HfNode& node, Normalizer& normalizer) {
  if (node.is_null()) return;
  const std::string type = node.type();
  for (const NormalizerType& known : kNormalizers) {
    if (type == known.name) return known.add(node, normalizer);
  }
  node.fail_type(names_of(kNormalizers));
}

HfSplits add_hf_splits(const HfNode& node, PreTokenizer& pre_tokenizer) {
  const std::vector<HfNode> leaves = hf_leaves(node, "pretokenizers");
  Splits splits{pre_tokenizer, {}};
  bool in_alphabet = false;
  for (const HfNode& leaf : leaves) {
    const std::string type = leaf.type();
    // What follows ByteLevel sees the characters that stand for bytes.
    if (splits.found.byte_level && !in_alphabet) {
      pre_tokenizer.add(ByteAlphabet{});
      in_alphabet = true;
    }
    const auto* known = std::find_if(std::begin(kSplits), std::end(kSplits),
                                     [&](const SplitType& split) { return type == split.name; });
    if (known == std::end(kSplits)) leaf.fail_type(names_of(kSplits));
    if (in_alphabet && (type == "ByteLevel" || type == "Metaspace")) {
      leaf.fail_value("type", "one that can follow ByteLevel");
    }
    known->add(leaf, splits);
  }
  return splits.found;
}

bool hf_decodes_spaces(const HfNode& decoder) {
  const std::vector<HfNode> leaves = hf_leaves(decoder, "decoders");
  return std::any_of(leaves.begin(), leaves.end(), [](const HfNode& leaf) {
    if (leaf.type() == "Metaspace") return true;
    return leaf.type() == "Replace" && leaf.child("pattern").text("String", "") == kSpaceMark &&
           leaf.text("content", "") == " ";
  });
}

HfTemplate read_hf_template(const HfNode& post_processor) {
  const std::vector<HfNode> leaves = hf_leaves(post_processor, "processors");
  HfTemplate found;
  for (const HfNode& leaf : leaves) {
    const std::string type = leaf.type();
    if (type == "ByteLevel") continue;  // it concerns offsets only
    found.is_given = true;
    if (type == "TemplateProcessing")
      read_template(leaf, found);
    else if (type == "RobertaProcessing" || type == "BertProcessing")
      read_pair(leaf, found);
    else
      leaf.fail_type({"ByteLevel", "TemplateProcessing", "RobertaProcessing", "BertProcessing"});
  }
  return found;
}

}  // namespace windlass
