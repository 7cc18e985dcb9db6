// Names and expressions of the families, as their authors published them (tokenizer.json of each
// family; names as llama.cpp's converter gives them).
#include "src/text/split_families.h"

#include <vector>

#include "src/base/error.h"
#include "src/base/nearest.h"
#include "src/format/printable.h"

namespace windlass {
namespace {

// Parts that several expressions share.
#define WINDLASS_CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define WINDLASS_WORD R"([^\r\n\p{L}\p{N}]?\p{L}+)"
#define WINDLASS_SYMBOLS R"( ?[^\s\p{L}\p{N}]+[\r\n]*)"
#define WINDLASS_SPACES R"(\s*[\r\n]+|\s+(?!\S)|\s+)"
#define WINDLASS_UPPER R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define WINDLASS_LOWER R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
// A capitalised or lower-case word, then one in capitals; `tail` follows each.
#define WINDLASS_CASED_WORDS(tail)                                   \
  R"([^\r\n\p{L}\p{N}]?)" WINDLASS_UPPER "*" WINDLASS_LOWER "+" tail \
  R"(|[^\r\n\p{L}\p{N}]?)" WINDLASS_UPPER "+" WINDLASS_LOWER "*" tail

constexpr const char* kDigit = R"(\p{N})";
constexpr const char* kThreeDigits = R"(\p{N}{1,3})";
constexpr const char* kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* kLlama3 =
    WINDLASS_CONTRACTIONS "|" WINDLASS_WORD R"(|\p{N}{1,3}|)" WINDLASS_SYMBOLS "|" WINDLASS_SPACES;
constexpr const char* kQwen2 =
    WINDLASS_CONTRACTIONS "|" WINDLASS_WORD R"(|\p{N}|)" WINDLASS_SYMBOLS "|" WINDLASS_SPACES;
constexpr const char* kQwen35 = WINDLASS_CONTRACTIONS
    R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|)" WINDLASS_SPACES;
constexpr const char* kMiniCpm5 =
    WINDLASS_CONTRACTIONS "|" WINDLASS_WORD R"(|\p{N}+|)" WINDLASS_SYMBOLS "|" WINDLASS_SPACES;
constexpr const char* kTekken =
    WINDLASS_CASED_WORDS("") R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" WINDLASS_SPACES;
constexpr const char* kGpt4o = WINDLASS_CASED_WORDS(
    WINDLASS_CONTRACTIONS "?") R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" WINDLASS_SPACES;
constexpr const char* kYoutu = WINDLASS_CASED_WORDS(
    WINDLASS_CONTRACTIONS "?") R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" WINDLASS_SPACES;
constexpr const char* kYoutuScripts =
    R"([가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+)";
constexpr const char* kBailing =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*)"
    R"(|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr const char* kSeedCoder =
    WINDLASS_CONTRACTIONS "|" WINDLASS_WORD R"(|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|)" WINDLASS_SPACES;
constexpr const char* kExaoneMoe = WINDLASS_CONTRACTIONS
    R"(|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?)"
    R"(|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr const char* kUfakzeka = WINDLASS_WORD R"(|\p{N}|)" WINDLASS_SYMBOLS "|" WINDLASS_SPACES;
constexpr const char* kJais2 = WINDLASS_CONTRACTIONS
    "|" WINDLASS_WORD R"(|\p{N}{1,3}|)" WINDLASS_SYMBOLS
    R"(|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S))"
    R"(|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1})";
constexpr const char* kBloom = R"( ?[^(\s|.,!?…。，、।۔،)]+)";

constexpr const char* kLineBreak = R"([\r\n])";
constexpr const char* kCjkRuns = R"([一-龥ࠀ-一가-퟿]+)";
constexpr const char* kKanaHanRuns = R"([一-龥぀-ゟ゠-ヿ]+)";
// Characters that Unicode's normal forms replace by others stand as numbers.
constexpr const char* kDeepseekLlmLetters =
    R"(\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕ)"
    R"(Ἐ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\x{1F7D}ᾀ-ᾴᾶ-ᾼ\x{1FBE}ῂ-ῄῆ-ῌῐ-\x{1FD3}ῖ-\x{1FDB}ῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\x{2126}ℨ\x{212A}-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+)";
constexpr const char* kDeepseekLlmMarks = R"(\s?[!-/:-~！-／：-～‘-‟\x{3000}-。]+)";
constexpr const char* kTrailingSpaces = R"(\s+$)";
constexpr const char* kDeepseek3Words =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
    R"(| ?[\p{P}\p{S}]+[\r\n]*|)" WINDLASS_SPACES;
constexpr const char* kSparkWords =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
    R"(| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+)";
constexpr const char* kPunctuationRuns = R"([\p{P}$+<=>^~|`]+)";
constexpr const char* kDefaultPunctuation = R"([\p{P}$+<=>^~|]+)";
constexpr const char* kDigitRuns = R"(\p{N}+)";
constexpr const char* kTriples = "[0-9][0-9][0-9]";
constexpr const char* kLines = R"([^\n]+|[\n]+)";

#undef WINDLASS_CONTRACTIONS
#undef WINDLASS_WORD
#undef WINDLASS_SYMBOLS
#undef WINDLASS_SPACES
#undef WINDLASS_UPPER
#undef WINDLASS_LOWER
#undef WINDLASS_CASED_WORDS

constexpr SplitFamily kGpt2Family{{kGpt2}};
constexpr SplitFamily kRobertaFamily{{kGpt2}, false, false, true};
constexpr SplitFamily kDigitsFamily{{kDigit, kGpt2}};
constexpr SplitFamily kLlama3Family{{kLlama3}, true, true};
constexpr SplitFamily kLlama3Plain{{kLlama3}};
constexpr SplitFamily kQwen2Family{{kQwen2}};
constexpr SplitFamily kGpt4oFamily{{kGpt4o}};
constexpr SplitFamily kBailingFamily{{kBailing}};
constexpr SplitFamily kBloomFamily{{kBloom}};
constexpr SplitFamily kDeepseek3Family{{kThreeDigits, kKanaHanRuns, kDeepseek3Words}};

// To add a name: one row. Where a reference exists, its golden file goes to tests/golden/tokenizer.
constexpr NamedSplitFamily kRows[] = {
    {"default", {{kDefaultPunctuation, kGpt2, kDigitRuns, kTriples}}},
    {"gpt-2", kGpt2Family},
    {"phi-2", kGpt2Family},
    {"mpt", kGpt2Family},
    {"olmo", kGpt2Family},
    {"jais", kGpt2Family},
    {"trillion", kGpt2Family},
    {"granite-docling", kGpt2Family},
    {"gigachat", kGpt2Family},
    {"a.x-4.0", kGpt2Family},
    {"mellum", kGpt2Family},
    {"modern-bert", kGpt2Family},
    {"exaone4", kGpt2Family},
    {"jina-es", kGpt2Family},
    {"jina-de", kGpt2Family},
    {"jina-v2-es", kGpt2Family},
    {"jina-v2-de", kGpt2Family},
    {"jina-v1-en", kRobertaFamily},
    {"jina-v2-code", kRobertaFamily},
    {"roberta-bpe", kRobertaFamily},
    {"smollm", kDigitsFamily},
    {"starcoder", kDigitsFamily},
    {"refact", kDigitsFamily},
    {"command-r", kDigitsFamily},
    {"codeshell", kDigitsFamily},
    {"exaone", kDigitsFamily},
    {"minerva-7b", kDigitsFamily},
    {"mellum2", kDigitsFamily},
    {"llama-bpe", kLlama3Family},
    {"llama3", kLlama3Family},
    {"llama-v3", kLlama3Family},
    {"falcon3", kLlama3Family},
    {"falcon-h1", kLlama3Family},
    {"pixtral", kLlama3Family},
    {"midm-2.0", kLlama3Family},
    {"lfm2", kLlama3Family},
    {"jina-v5-nano", kLlama3Family},
    {"dbrx", kLlama3Plain},
    {"smaug-bpe", kLlama3Plain},
    {"glm4", kLlama3Plain},
    {"chatglm-bpe", kLlama3Plain},
    {"jais-2", {{kJais2}}},
    {"minicpm5", {{kThreeDigits, kMiniCpm5}, true}},
    {"qwen2", kQwen2Family},
    {"deepseek-r1-qwen", kQwen2Family},
    {"kormo", kQwen2Family},
    {"f2llmv2", kQwen2Family},
    {"megrez", kQwen2Family},
    {"stablelm2", kQwen2Family},
    {"hunyuan", kQwen2Family},
    {"solar-open", kQwen2Family},
    {"grok-2", kQwen2Family},
    {"laguna", {{kLines, kQwen2}}},
    {"qwen35", {{kQwen35}}},
    {"ufakzeka", {{kUfakzeka}}},
    {"seed-coder", {{kSeedCoder}}},
    {"exaone-moe", {{kExaoneMoe}}},
    {"bailingmoe", kBailingFamily},
    {"bailingmoe2", kBailingFamily},
    {"llada-moe", kBailingFamily},
    {"tekken", {{kTekken}, true, true}},
    {"gpt-4o", kGpt4oFamily},
    {"llama4", kGpt4oFamily},
    {"kanana2", kGpt4oFamily},
    {"talkie", kGpt4oFamily},
    {"minimax-m2", kGpt4oFamily},
    {"granite-embed-multi-97m", {{kGpt4o}, true}},
    {"youtu", {{kYoutuScripts, kYoutu}, true}},
    {"deepseek-llm",
     {{kLineBreak, kDeepseekLlmLetters, kDeepseekLlmMarks, kTrailingSpaces, kCjkRuns, kDigitRuns}}},
    {"deepseek-coder", {{kLineBreak, R"(\s?\p{L}+)", R"(\s?\p{P}+)", kCjkRuns, kDigit}}},
    {"deepseek-v3", kDeepseek3Family},
    {"hunyuan-dense", kDeepseek3Family},
    {"joyai-llm", kDeepseek3Family},
    {"hy_v4", kDeepseek3Family},
    {"spark2_5", {{kThreeDigits, kKanaHanRuns, kSparkWords, kDigit}}},
    {"falcon", {{kPunctuationRuns, kGpt2, kDigitRuns, kTriples}}},
    {"bloom", kBloomFamily},
    {"poro-chat", kBloomFamily},
    {"gpt3-finnish", kBloomFamily},
    {"viking", {{kBloom, kDigit}}},
};

}  // namespace

std::span<const NamedSplitFamily> split_families() { return kRows; }

const SplitFamily& find_split_family(std::string_view name, std::string_view source) {
  std::vector<std::string> names;
  for (const NamedSplitFamily& row : kRows) {
    if (row.name == name) return row.family;
    names.emplace_back(row.name);
  }
  fail(ErrorCode::kUnsupported,
       "{}: unknown pre-tokenizer '{}' (tokenizer.ggml.pre); the nearest is {}; supported: {}",
       source, printable(name.substr(0, 64)), nearest_name(name.substr(0, 64), names),
       fmt::join(names, ", "));
}

}  // namespace windlass
