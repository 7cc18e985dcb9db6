// One pass over the expression, element by element; what is not known is refused by name.
#include "src/text/oniguruma.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>
#include <vector>

#include "src/base/error.h"
#include "src/format/printable.h"
#include "src/text/character_sets.h"
#include "src/text/utf8.h"

namespace windlass {
namespace {

constexpr int kMaxDepth = 16;  // of classes inside of classes

// Outside of classes \w also takes the superscript digits and fractions of Latin-1.
constexpr std::string_view kLatin1Numbers = R"(\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})";

struct NamedSet {
  std::string_view name, set;
};
// [[:name:]]
constexpr NamedSet kPosixSets[] = {
    {"alpha", R"(\p{Alphabetic})"},
    {"digit", R"(\p{Nd})"},
    {"alnum", R"(\p{Alphabetic}\p{Nd})"},
    {"upper", R"(\p{Uppercase})"},
    {"lower", R"(\p{Lowercase})"},
    {"punct", R"(\p{P}\p{S})"},
    {"space", kSpaceSet},
    {"blank", R"(\t\p{Zs})"},
    {"cntrl", R"(\p{Cc})"},
    {"xdigit", "0-9A-Fa-f"},
    {"word", kWordSet},
    {"ascii", R"(\x00-\x7F)"},
};
// \p{name} where PCRE2 has no property of the name; scripts and the others go by their own.
constexpr NamedSet kProperties[] = {
    {"alpha", "Alphabetic"}, {"digit", "Nd"},
    {"upper", "Uppercase"},  {"lower", "Lowercase"},
    {"punct", "P"},          {"cntrl", "Cc"},
    {"letter", "L"},         {"mark", "M"},
    {"number", "N"},         {"symbol", "S"},
    {"punctuation", "P"},    {"separator", "Z"},
    {"other", "C"},          {"space", "White_Space"},
};

template <std::size_t N>
std::optional<std::string_view> find_set(const NamedSet (&sets)[N], std::string_view name) {
  for (const NamedSet& known : sets) {
    if (known.name == name) return known.set;
  }
  return std::nullopt;
}

std::string in_brackets(std::string_view set) { return fmt::format("[{}]", set); }
std::string all_but(std::string_view set) { return fmt::format("[^{}]", set); }

// PCRE2's \p{Han} is the script with its extensions; where the name is a script's, "sc:" is exact.
bool is_script(const std::string& name) {
  const std::string expression = fmt::format("\\p{{sc:{}}}", name);
  int error = 0;
  PCRE2_SIZE at = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()),
                                   expression.size(), PCRE2_UTF, &error, &at, nullptr);
  pcre2_code_free(code);
  return code != nullptr;
}

bool is_alnum(char c) { return static_cast<signed char>(c) >= 0 && std::isalnum(c) != 0; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return static_cast<signed char>(c) >= 0 && std::isxdigit(c) != 0; }

class Translator {
 public:
  Translator(std::string_view expression, std::string_view source)
      : expression_(expression), source_(source) {}

  std::string run() {
    groups_.push_back({0, 0});
    while (at_ < expression_.size()) element();
    if (groups_.size() != 1) refuse("an open group");
    out_.append(groups_.back().n_options, ')');
    return std::move(out_);
  }

 private:
  struct Group {
    std::size_t begin;      // in out_
    std::size_t n_options;  // (?i) inside, each of which opened a group
  };
  // What a class takes: the union of `sets`, `characters` and `others`.
  struct Class {
    bool negated = false;
    std::string sets, characters;
    std::vector<std::string> others;  // classes of their own
    bool after_set = false;           // what came last was no character
  };
  struct Interval {
    std::string text;
    bool fixed;  // {n}
  };

  [[noreturn]] void refuse(std::string_view construct) const {
    fail(ErrorCode::kUnsupported, "{}: the expression has {} (at byte {}), which is not supported",
         source_, printable(construct), at_);
  }
  char peek(std::size_t n = 0) const {
    return at_ + n < expression_.size() ? expression_[at_ + n] : '\0';
  }
  bool take(std::string_view text) {
    if (!expression_.substr(at_).starts_with(text)) return false;
    at_ += text.size();
    return true;
  }
  // Up to and with `end`; what stood before it.
  std::string_view take_until(std::string_view end) {
    const std::size_t found = expression_.find(end, at_);
    if (found == std::string_view::npos) refuse(fmt::format("no '{}'", end));
    const std::string_view taken = expression_.substr(at_, found - at_);
    at_ = found + end.size();
    return taken;
  }
  std::string_view take_character() {
    const std::string_view taken =
        expression_.substr(at_, next_code_point(expression_.substr(at_)).size_bytes);
    at_ += taken.size();
    return taken;
  }
  void atom(std::string_view text) {
    atom_ = out_.size();
    out_ += text;
  }
  void anchor(std::string_view text) {
    atom_.reset();
    out_ += text;
  }

  void element();
  void quantifier();
  std::optional<Interval> interval() const;
  void open_group();
  void options();
  void close_group();
  void escape();
  std::string code_escape(char letter);
  std::string property(bool negated);
  std::string read_class(int depth);
  void class_element(Class& found, int depth);
  void class_escape(Class& found);
  void posix_set(Class& found);
  static void add_set(Class& found, std::string_view set);
  static std::string written(const Class& found);

  std::string_view expression_, source_;
  std::string out_;
  std::size_t at_ = 0;
  std::optional<std::size_t> atom_;  // where in out_ that begins which a quantifier repeats
  std::vector<Group> groups_;
};

void Translator::element() {
  const char c = peek();
  switch (c) {
    case '\\':
      ++at_;
      return escape();
    case '[':
      ++at_;
      return atom(read_class(0));
    case '(':
      ++at_;
      return open_group();
    case ')':
      ++at_;
      return close_group();
    case '|':
      ++at_;
      return anchor("|");
    case '^':
      ++at_;
      return anchor("(?m:^)");
    case '$':
      ++at_;
      return anchor("(?m:$)");
    case '*':
    case '+':
    case '?':
      return quantifier();
    case '{':
      if (interval()) return quantifier();
      ++at_;
      return atom("\\{");
    default:
      return atom(take_character());
  }
}

// {n}, {n,}, {n,m} or {,m}; anything else in braces is text.
std::optional<Translator::Interval> Translator::interval() const {
  if (peek() != '{') return std::nullopt;
  const std::size_t end = expression_.find('}', at_);
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view inside = expression_.substr(at_ + 1, end - at_ - 1);
  const std::size_t comma = inside.find(',');
  const std::string_view low = inside.substr(0, comma);
  const std::string_view high =
      comma == std::string_view::npos ? std::string_view() : inside.substr(comma + 1);
  const auto digits = [](std::string_view s) { return std::all_of(s.begin(), s.end(), is_digit); };
  if ((low.empty() && high.empty()) || !digits(low) || !digits(high)) return std::nullopt;
  std::string text = low.empty() ? fmt::format("{{0,{}}}", high)
                                 : std::string(expression_.substr(at_, end + 1 - at_));
  return Interval{std::move(text), comma == std::string_view::npos};
}

// A quantifier after a quantifier repeats the repetition: {1,3}+ is (?:X{1,3})+, a{2}? (?:a{2})?.
void Translator::quantifier() {
  if (!atom_) refuse(fmt::format("'{}' after nothing that it could repeat", peek()));
  bool repeated = false;
  for (auto range = interval();
       range || (peek() != '\0' && std::string_view("*+?").find(peek()) != std::string_view::npos);
       range = interval()) {
    if (repeated) {
      out_ = fmt::format("{}(?:{})", out_.substr(0, *atom_), out_.substr(*atom_));
    }
    repeated = true;
    if (range) {
      at_ += range->text.size() - (peek(1) == ',' ? 1 : 0);
      out_ += range->text;
      if (!range->fixed && take("?")) out_ += '?';
    } else {
      out_ += expression_[at_++];
      if (peek() == '?' || peek() == '+') out_ += expression_[at_++];
    }
  }
  atom_.reset();
}

void Translator::open_group() {
  if (peek() == '*') refuse("'(*'");
  const std::size_t begin = out_.size();
  if (!take("?")) {
    out_ += '(';
  } else if (take("#")) {
    take_until(")");
    return;
  } else if (take("<=") || take("<!") || take(":") || take("=") || take("!") || take(">")) {
    const bool behind = expression_[at_ - 2] == '<';
    out_ += behind ? "(?<" : "(?";
    out_ += expression_[at_ - 1];
  } else if (take("<") || take("'")) {  // a name, which only \k and \g could use
    take_until(expression_[at_ - 1] == '<' ? ">" : "'");
    out_ += "(?:";
  } else {
    return options();
  }
  groups_.push_back({begin, 0});
  atom_.reset();
}

// (?im-im) or (?im-im:...). One without a colon holds to the end of the group around it, over all
// alternatives that follow.
void Translator::options() {
  const std::size_t begin = at_;
  while (peek() == 'i' || peek() == 'm' || peek() == '-') ++at_;
  std::string letters(expression_.substr(begin, at_ - begin));
  if (letters.empty() || (peek() != ')' && peek() != ':')) {
    refuse(fmt::format("'(?{}{}'", letters, peek()));
  }
  // Folding case makes two characters of one, which PCRE2 does not.
  if (letters.substr(0, letters.find('-')).find('i') != std::string::npos) {
    std::string lower(expression_);
    for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    for (const char* pair : {"ss", "st", "ff", "fi", "fl", "\xC3\x9F", "\xE1\xBA\x9E"}) {
      if (lower.find(pair) == std::string::npos) continue;
      refuse(fmt::format("(?i) and '{}', which has a form of one letter,", pair));
    }
  }
  std::replace(letters.begin(), letters.end(), 'm', 's');
  const std::size_t group = out_.size();
  out_ += fmt::format("(?{}:", letters);
  if (expression_[at_++] == ':') {
    groups_.push_back({group, 0});
  } else {
    ++groups_.back().n_options;
  }
  atom_.reset();
}

void Translator::close_group() {
  if (groups_.size() == 1) refuse("')' without a group");
  out_.append(groups_.back().n_options + 1, ')');
  atom_ = groups_.back().begin;
  groups_.pop_back();
}

void Translator::escape() {
  const char letter = peek();
  if (letter == '\0') refuse("'\\' at its end");
  ++at_;
  const std::string_view small = shorthand_set(letter);
  const std::string_view large = shorthand_set(static_cast<char>(letter | 0x20));
  const std::string word = std::string(kWordSet).append(kLatin1Numbers);
  if (letter == 'w') return atom(in_brackets(word));
  if (letter == 'W') return atom(all_but(word));
  if (!small.empty()) return atom(in_brackets(small));
  if (is_alnum(letter) && !large.empty()) return atom(all_but(large));
  const std::string in = in_brackets(word);
  if (letter == 'b') {
    return anchor(fmt::format("(?:(?<={0})(?!{0})|(?<!{0})(?={0}))", in));
  }
  if (letter == 'B') {
    return anchor(fmt::format("(?:(?<={0})(?={0})|(?<!{0})(?!{0}))", in));
  }
  if (std::string_view("AzZGK").find(letter) != std::string_view::npos) {
    return anchor(std::string{'\\', letter});
  }
  if (letter == 'R') return atom("\\R");
  if (letter == 'p' || letter == 'P') return atom(property(letter == 'P'));
  atom(code_escape(letter));
}

// What names one character, inside of a class or outside; also \1, a group's text.
std::string Translator::code_escape(char letter) {
  if (letter == 'v') return R"(\x{0B})";
  if (letter == 'u') {
    const std::string_view digits = expression_.substr(at_, 4);
    if (digits.size() < 4 || !std::all_of(digits.begin(), digits.end(), is_hex)) refuse("'\\u'");
    at_ += 4;
    return fmt::format("\\x{{{}}}", digits);
  }
  if (letter == 'x' && take("{")) return fmt::format("\\x{{{}}}", take_until("}"));
  if (letter == 'x') {
    // From \x80 on it is a byte of a character.
    if (peek() < '0' || peek() > '7' || !is_hex(peek(1))) refuse("'\\x' without two digits to 7F");
    at_ += 2;
    return fmt::format("\\x{{{}}}", expression_.substr(at_ - 2, 2));
  }
  std::string text{'\\', letter};
  if (is_digit(letter)) {
    while (is_digit(peek()) && text.size() < 4) text += expression_[at_++];
    return text;
  }
  if (letter == 'c' && peek() != '\0') return text + expression_[at_++];
  if (static_cast<signed char>(letter) < 0) {
    --at_;
    return std::string(take_character());
  }
  if (is_alnum(letter) && std::string_view("tnrfae").find(letter) == std::string_view::npos) {
    refuse(fmt::format("'{}'", text));
  }
  return text;
}

std::string Translator::property(bool negated) {
  if (!take("{")) refuse("'\\p' without braces");
  std::string name(take_until("}"));
  if (name.starts_with('^')) {
    negated = !negated;
    name.erase(0, 1);
  }
  std::string plain;  // names are compared so
  for (const char c : name) {
    if (is_alnum(c)) plain += static_cast<char>(std::tolower(c));
  }
  if (plain == "word" || plain == "alnum" || plain == "graph" || plain == "print") {
    refuse(fmt::format("'\\p{{{}}}'", name));
  }
  if (const auto known = find_set(kProperties, plain)) {
    name = *known;
  } else if (plain.size() > 2 && is_script(name)) {
    name = fmt::format("sc:{}", name);
  }
  return fmt::format("\\{}{{{}}}", negated ? 'P' : 'p', name);
}

std::string Translator::read_class(int depth) {
  if (depth > kMaxDepth) refuse("classes nested too deep");
  Class found;
  found.negated = take("^");
  if (take("]")) found.characters += "\\]";  // a bracket that comes first closes nothing
  while (!take("]")) {
    if (at_ >= expression_.size()) refuse("an open class");
    class_element(found, depth);
  }
  return written(found);
}

void Translator::class_element(Class& found, int depth) {
  const char c = peek();
  if (c == '&' && peek(1) == '&') refuse("'&&' in a class");
  if (c == '\\') {
    ++at_;
    return class_escape(found);
  }
  if (c == '[' && peek(1) == ':' && expression_.find(":]", at_) != std::string_view::npos) {
    return posix_set(found);
  }
  if (c == '[') {
    ++at_;
    add_set(found, "");
    found.others.push_back(read_class(depth + 1));
    return;
  }
  if (std::string_view("^.:=").find(c) != std::string_view::npos || (c == '-' && found.after_set)) {
    found.characters += '\\';
  }
  found.characters += take_character();
  found.after_set = false;
}

// A hyphen beside a set is a hyphen.
void Translator::add_set(Class& found, std::string_view set) {
  std::string& before = found.characters;
  if (before.ends_with('-') && !before.ends_with("\\-")) {
    before.back() = '\\';
    before += '-';
  }
  found.sets += set;
  found.after_set = true;
}

void Translator::class_escape(Class& found) {
  const char letter = peek();
  if (letter == '\0') refuse("an open class");
  ++at_;
  const std::string_view small = shorthand_set(letter);
  const std::string_view large = shorthand_set(static_cast<char>(letter | 0x20));
  if (!small.empty()) return add_set(found, small);
  if (is_alnum(letter) && !large.empty()) {
    add_set(found, "");
    found.others.push_back(all_but(large));
  } else if (letter == 'p' || letter == 'P') {
    add_set(found, property(letter == 'P'));
  } else {
    found.characters += letter == 'b' ? "\\x{08}" : code_escape(letter);
    found.after_set = false;
  }
}

void Translator::posix_set(Class& found) {
  at_ += 2;
  const bool negated = take("^");
  const std::string_view name = take_until(":]");
  std::string set;
  bool inside = !negated;
  if (name == "graph" || name == "print") {
    set = name == "graph" ? R"(\p{White_Space}\p{Cc}\p{Cs}\p{Cn})"
                          : R"(\p{Zl}\p{Zp}\p{Cc}\p{Cs}\p{Cn})";
    inside = negated;  // what is left out is named
  } else if (const auto known = find_set(kPosixSets, name)) {
    set = *known;
  } else {
    refuse(fmt::format("'[:{}:]'", name));
  }
  if (inside) return add_set(found, set);
  add_set(found, "");
  found.others.push_back(all_but(set));
}

std::string Translator::written(const Class& found) {
  const std::string set = found.sets + found.characters;
  if (found.others.empty()) return found.negated ? all_but(set) : in_brackets(set);
  std::string any = set.empty() ? "" : in_brackets(set);
  for (const std::string& other : found.others) any.append(any.empty() ? "" : "|").append(other);
  return found.negated ? fmt::format("(?:(?!{})(?s:.))", any) : fmt::format("(?:{})", any);
}

}  // namespace

std::string translate_oniguruma(std::string_view expression, std::string_view source) {
  // "\s+$" takes quadratic time in a run of spaces that ends no line, since each of them is tried
  // as the beginning. Said so that only the first one is; when it fails or has matched, so would
  // all after it in the run:
  if (expression == R"(\s+$)") {
    const std::string space = in_brackets(kSpaceSet);
    return fmt::format(R"((?<!{0})(?:{0}++\z|{0}+(?=\n)))", space);
  }
  return Translator(expression, source).run();
}

}  // namespace windlass
