// Steps of the BERT family.
#include "src/text/bert_text.h"

namespace windlass {

void add_bert_normalizer(const BertNormalizer& options, Normalizer& normalizer) {
  if (options.cleans) normalizer.add(CleanText{options.drops_control_space});
  if (options.spaces_chinese) normalizer.add(SpaceChinese{});
  if (options.strips_accents) {
    normalizer.add(UnicodeForm::kNfd);
    normalizer.add(StripAccents{.only_nonspacing = true});
  }
  if (options.lowercases) normalizer.add(Lowercase{});
}

void add_bert_splits(PreTokenizer& pre_tokenizer) {
  pre_tokenizer.add(RegexSplit{Regex(R"(\s+)", "BERT's split"), SplitBehavior::kRemoved});
  pre_tokenizer.add(RegexSplit{Regex(kPunctuation, "BERT's split"), SplitBehavior::kIsolated});
}

}  // namespace windlass
