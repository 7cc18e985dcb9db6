// Families are told apart by what they do, not by how their expressions are written: the same split
// is published in several spellings.
#include "src/text/split_match.h"

#include <string>
#include <vector>

namespace windlass {
namespace {

// Both begin with a space, so that a tokenizer that puts one there is seen like one that does not.
constexpr std::string_view kAscii =
    " I've we'LL they'd it's DON'T o'clock 'twas can't've\n"
    "1 12 123 1234 12345 x1y22z333 3.14159 1,000,000 v2.0 #12345678\n"
    "\n\n \n  a\r\n\r\nb \t\tc   d    e\n   \n  f  \n"
    "CamelCaseWORDSHere HTMLParser iPhone XMLHttp2\n"
    "!!! ??? ... --- *** /// ://x.y/z?a=b&c=d (x) [y] {z} <a href=\"b\"> #!/bin/sh $100 50% a+b=c "
    "~`^|\\ _under_score_ __init__ @user &amp; a|b <|x|> =>\n"
    ".word !word -word (word $word +word \"word 'word /path/to\n"
    "                                   deep\n\t\t\t\t\t\t\t\ttabs\n"
    "for (int i = 0; i < 10; ++i) {\n    sum += a[i];\n}\n//comment\n\nend   ";
constexpr std::string_view kBeyondAscii =
    " l'été ²³ ٣٤٥٦ １２３４ Ⅷ½ ÀÉÎõü straße ΑΒΓαβγ Дом ДОМ дома ǅungla\n"
    "e\xCC\x81te\xCC\x81 n\xCC\x83o हिन्दी भाषा ไทยนี้ עִבְרִית العَرَبِيَّة\n"
    "汉字与假名 ひらがなカタカナ 漢字かな交じり文 한국어 문장입니다 ㄱㄴㄷ ㄅㄆㄇ "
    "中文123abc，。！？“引号”…——\n"
    "¿qué? ¡hola! «oui» „nein“ €5 £6 ¥7 ±8 ×9 © ™ ° → ∑ ∞ ≠ ♥ 😀😃 👩‍🚀 🇩🇪 "
    "✅\n"
    "x\xC2\xA0y\xE3\x80\x80z\xE2\x80\xA8w\xE2\x80\x8Bv\xEF\xBB\xBFu \xC2\xAD\n";

class Collector final : public PreTokenizer::Sink {
 public:
  void piece(std::string_view piece) override { pieces.emplace_back(piece); }
  std::vector<std::string> pieces;
};

std::vector<std::string> pieces_of(const PreTokenizer& splits, std::string_view text) {
  Collector collector;
  splits.split(text, true, collector);
  return std::move(collector.pieces);
}

}  // namespace

void add_family_splits(const NamedSplitFamily& family, PreTokenizer& pre_tokenizer) {
  for (const char* expression : family.family.expressions) {
    if (expression == nullptr) continue;
    pre_tokenizer.add(RegexSplit{Regex(expression, std::string(family.name))});
  }
}

std::optional<SplitMatch> match_splits(const PreTokenizer& splits, bool whole_words) {
  const std::vector<std::string> ascii = pieces_of(splits, kAscii);
  const std::vector<std::string> other = pieces_of(splits, kBeyondAscii);
  std::optional<SplitMatch> best;
  for (const NamedSplitFamily& family : split_families()) {
    PreTokenizer candidate;
    add_family_splits(family, candidate);
    if (pieces_of(candidate, kAscii) != ascii) continue;
    const SplitMatch match{family.name, pieces_of(candidate, kBeyondAscii) == other,
                           family.family.whole_words == whole_words};
    const auto rank = [](const SplitMatch& of) { return 2 * of.beyond_ascii + of.whole_words; };
    if (!best || rank(match) > rank(*best)) best = match;
  }
  return best;
}

}  // namespace windlass
