// The settings of a tokenizer.json turned into steps: normalizer, pre_tokenizer, decoder,
// post_processor. What a setting names and this build has not is an error with the nearest name.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "src/text/normalizer.h"
#include "src/text/pre_tokenizer.h"

namespace windlass {

// Reads settings by key; wrong types are Error(kBadFile) naming file, object and key.
class HfNode {
 public:
  HfNode(const nlohmann::json& json, const std::string& path, std::string_view name);

  bool is_null() const;
  // "type"; "" for null.
  std::string type() const;
  bool flag(const char* key, bool otherwise) const;
  std::string text(const char* key, const char* otherwise) const;
  std::int64_t number(const char* key, std::int64_t otherwise) const;
  HfNode child(const char* key) const;
  // The elements of a list; empty where the key is absent or null.
  std::vector<HfNode> children(const char* key) const;
  // Any value; null where the key is absent.
  const nlohmann::json& at(const char* key) const;
  const std::string& path() const { return *path_; }
  const std::string& name() const { return name_; }
  // Throws: the type is not one of `known`.
  [[noreturn]] void fail_type(const std::vector<std::string>& known) const;
  [[noreturn]] void fail_value(const char* key, const char* wanted) const;

 private:
  const nlohmann::json* json_;  // an object or null
  const std::string* path_;
  std::string name_;
};

void add_hf_normalizer(const HfNode& node, Normalizer& normalizer);

struct HfSplits {
  bool byte_level = false;  // words are bytes
  bool metaspace = false;   // words have U+2581 for spaces
};
HfSplits add_hf_splits(const HfNode& node, PreTokenizer& pre_tokenizer);

// The leaves of nested Sequences, in order: `list` is "normalizers", "pretokenizers", "decoders" or
// "processors". Nothing for null.
std::vector<HfNode> hf_leaves(const HfNode& node, const char* list);
// The bytes of a Precompiled normalizer's map.
std::string hf_charsmap(const HfNode& precompiled);

// Does decoding turn U+2581 into spaces?
bool hf_decodes_spaces(const HfNode& decoder);

struct HfTemplate {
  std::vector<std::int32_t> prefix_ids, suffix_ids;
  bool is_given = false;
};
HfTemplate read_hf_template(const HfNode& post_processor);

}  // namespace windlass
