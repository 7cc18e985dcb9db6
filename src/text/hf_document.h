// A tokenizer.json (Hugging Face tokenizers) as it is read: its settings as a tree, its two large
// lists, vocabulary and merges, as a stream. Knows no meaning.
#pragma once

#include <cstdint>
#include <functional>
#include <istream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace windlass {

struct HfDocument {
  nlohmann::json settings;  // all but model.vocab and model.merges
  // model.vocab in the file's order: token i is [ends[i - 1], ends[i]) of the bytes.
  std::vector<char> token_bytes;
  std::vector<std::uint32_t> token_ends;
  std::vector<std::int32_t> token_ids;  // of a list (Unigram): its order
  std::vector<double> scores;           // of a list with scores; else empty
  std::int64_t n_merges = 0;

  std::string_view token(std::size_t i) const {
    const std::uint32_t begin = i == 0 ? 0 : token_ends[i - 1];
    return {token_bytes.data() + begin, token_ends[i] - begin};
  }
};

// A tokenizer.json as a stream that can be read more than once.
struct HfSource {
  std::string path;  // for errors
  std::function<std::unique_ptr<std::istream>()> open;
};
// Error(kIo) when the file cannot be read, Error(kBadFile) for more than 256 MiB.
HfSource hf_file(const std::string& path);

// Reads the file in one pass. Error(kBadFile) for what is no JSON or not of this form, for
// nesting deeper than 64, more than a million settings. Memory: the vocabulary once, the settings'
// tree, and the longest string twice.
HfDocument read_hf_document(const HfSource& source);

// Visits model.merges in order, in a pass of its own: they come after what they need to be looked
// up in.
using VisitMerge = std::function<void(std::string_view left, std::string_view right)>;
void for_each_hf_merge(const HfSource& source, const VisitMerge& visit);

// A small JSON file beside a model (tokenizer_config.json); null where there is none. Errors as
// above; the most is 16 MiB.
nlohmann::json read_hf_settings(const std::string& path);

}  // namespace windlass
