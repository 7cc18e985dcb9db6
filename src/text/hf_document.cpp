// The event handler over nlohmann's parser.
#include "src/text/hf_document.h"

#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <utility>

#include "src/base/error.h"

namespace windlass {
namespace {

using nlohmann::json;

constexpr std::uintmax_t kMaxFileBytes = 256 << 20;  // the largest known (Gemma 3) has 33 MB
constexpr std::uintmax_t kMaxSettingsBytes = 16 << 20;
constexpr std::size_t kMaxDepth = 64;
constexpr std::int64_t kMaxSettings =
    1'000'000;  // 6,242 added tokens of 8 values are the most known

// Builds the tree of settings, value by value.
class TreeBuilder {
 public:
  explicit TreeBuilder(json& root) : root_(root) {}

  void key(const std::string& name) { key_ = name; }
  void open(json container) { open_.push_back(&add(std::move(container))); }
  void close() { open_.pop_back(); }
  json& add(json value) {
    if (open_.empty()) return root_ = std::move(value);
    json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return parent.back();
    }
    return parent[key_] = std::move(value);
  }

 private:
  json& root_;
  std::vector<json*> open_;
  std::string key_;
};

class Handler final : public nlohmann::json_sax<json> {
 public:
  // visit null: the document is collected; else only merges are visited.
  Handler(const std::string& path, HfDocument& document, const VisitMerge* visit)
      : path_(path), document_(document), visit_(visit), tree_(document.settings) {}

  bool null() override { return scalar(nullptr); }
  bool boolean(bool value) override { return scalar(value); }
  bool number_integer(std::int64_t value) override { return number(value); }
  bool number_unsigned(std::uint64_t value) override {
    return number(static_cast<std::int64_t>(std::min<std::uint64_t>(value, INT64_MAX)));
  }
  bool number_float(double value, const std::string&) override {
    if (where_ == Where::kVocab && in_entry_) return score(value);
    return scalar(value);
  }
  bool binary(json::binary_t&) override { refuse("binary data"); }

  bool string(std::string& text) override {
    if (where_ == Where::kMerges) {
      merge_text(text);
    } else if (where_ == Where::kVocab && in_entry_ && !has_token_) {
      token_ = std::move(text);
      has_token_ = true;
    } else {
      return scalar(std::move(text));
    }
    return true;
  }

  bool key(std::string& name) override {
    if (depth_ == 1) top_key_ = name;
    if (depth_ == 2) second_key_ = name;
    if (where_ == Where::kVocab) {
      token_ = std::move(name);
      has_token_ = true;
    } else if (where_ == Where::kSettings && visit_ == nullptr) {
      tree_.key(name);
    }
    return true;
  }

  bool start_object(std::size_t) override {
    if (enters("vocab")) {
      where_ = Where::kVocab;
    } else if (where_ != Where::kSettings) {
      refuse("an object in a list");
    } else if (visit_ == nullptr) {
      count_setting();
      tree_.open(json::object());
    }
    deeper();
    return true;
  }

  bool start_array(std::size_t) override {
    if (enters("vocab") || enters("merges")) {
      where_ = second_key_ == "vocab" ? Where::kVocab : Where::kMerges;
      is_list_ = true;
    } else if (where_ != Where::kSettings) {
      if (!is_list_ || in_entry_) refuse("a list in a list");
      in_entry_ = true;
      has_token_ = false;
      has_score_ = false;
      sides_.clear();
    } else if (visit_ == nullptr) {
      count_setting();
      tree_.open(json::array());
    }
    deeper();
    return true;
  }

  bool end_object() override { return leave(); }
  bool end_array() override {
    if (where_ == Where::kSettings || !in_entry_) return leave();
    in_entry_ = false;
    --depth_;
    if (where_ == Where::kMerges) {
      if (sides_.size() != 2) refuse("a merge of other than two tokens");
      merge(sides_[0], sides_[1]);
    } else {
      if (!has_token_ || !has_score_) refuse("a token without a score");
      has_token_ = false;
    }
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const json::exception&) override {
    fail(ErrorCode::kBadFile, "{}: byte {}: malformed JSON", path_, position);
  }

 private:
  enum class Where { kSettings, kVocab, kMerges };

  [[noreturn]] void refuse(std::string_view what) const {
    fail(ErrorCode::kBadFile, "{}: '{}' holds {}", path_,
         where_ == Where::kMerges ? "model.merges" : "model.vocab", what);
  }

  bool enters(std::string_view list) const {
    return where_ == Where::kSettings && depth_ == 2 && top_key_ == "model" && second_key_ == list;
  }
  void deeper() {
    if (++depth_ > kMaxDepth) {
      fail(ErrorCode::kBadFile, "{}: nested deeper than {}", path_, kMaxDepth);
    }
  }
  bool leave() {
    --depth_;
    if (where_ != Where::kSettings) {  // the list itself ends
      where_ = Where::kSettings;
      is_list_ = false;
    } else if (visit_ == nullptr) {
      tree_.close();
    }
    return true;
  }
  void count_setting() {
    if (++n_settings_ > kMaxSettings) {
      fail(ErrorCode::kBadFile, "{}: more than {} settings", path_, kMaxSettings);
    }
  }

  bool scalar(json value) {
    if (where_ != Where::kSettings) refuse("a value that is no token");
    if (visit_ == nullptr) {
      count_setting();
      tree_.add(std::move(value));
    }
    return true;
  }

  bool number(std::int64_t value) {
    if (where_ == Where::kVocab && in_entry_) return score(static_cast<double>(value));
    if (where_ != Where::kVocab || is_list_) return scalar(value);
    if (value < 0 || value >= std::numeric_limits<std::int32_t>::max()) {
      fail(ErrorCode::kBadFile, "{}: model.vocab has a token with the id {}", path_, value);
    }
    return token(static_cast<std::int32_t>(value));
  }
  bool score(double value) {
    if (!has_token_ || has_score_ || !std::isfinite(static_cast<float>(value))) {
      refuse("a score out of place");
    }
    has_score_ = true;
    if (visit_ == nullptr) document_.scores.push_back(value);
    return token(static_cast<std::int32_t>(document_.token_ids.size()));
  }

  bool token(std::int32_t id) {
    if (visit_ != nullptr) return true;
    document_.token_bytes.insert(document_.token_bytes.end(), token_.begin(), token_.end());
    document_.token_ends.push_back(static_cast<std::uint32_t>(document_.token_bytes.size()));
    document_.token_ids.push_back(id);
    return true;
  }

  void merge_text(std::string& text) {
    if (in_entry_) {
      if (sides_.size() == 2) refuse("a merge of more than two tokens");
      sides_.push_back(std::move(text));
      return;
    }
    const std::size_t space = text.find(' ', 1);
    if (space == std::string::npos) refuse("a merge of one token");
    const std::string_view rule = text;
    merge(rule.substr(0, space), rule.substr(space + 1));
  }
  void merge(std::string_view left, std::string_view right) {
    ++document_.n_merges;
    if (visit_ != nullptr) (*visit_)(left, right);
  }

  const std::string& path_;
  HfDocument& document_;
  const VisitMerge* visit_;
  TreeBuilder tree_;
  Where where_ = Where::kSettings;
  std::size_t depth_ = 0;  // of open objects and lists
  std::string top_key_, second_key_;
  std::int64_t n_settings_ = 0;
  bool is_list_ = false;   // vocab or merges are a list, not an object
  bool in_entry_ = false;  // of that list
  bool has_token_ = false, has_score_ = false;
  std::string token_;
  std::vector<std::string> sides_;
};

std::ifstream open_file(const std::string& path, std::uintmax_t max_bytes) {
  std::error_code error;
  const std::uintmax_t size_bytes = std::filesystem::file_size(path, error);
  if (error) fail(ErrorCode::kIo, "{}: cannot be read: {}", path, error.message());
  if (size_bytes > max_bytes) {
    fail(ErrorCode::kBadFile, "{}: {} bytes; the most is {}", path, size_bytes, max_bytes);
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(ErrorCode::kIo, "{}: cannot be opened: {}", path, std::strerror(errno));
  return file;
}

void read_events(const HfSource& source, HfDocument& document, const VisitMerge* visit) {
  const std::unique_ptr<std::istream> text = source.open();
  Handler handler(source.path, document, visit);
  json::sax_parse(*text, &handler);
  if (text->bad()) fail(ErrorCode::kIo, "{}: reading failed", source.path);
}

}  // namespace

HfSource hf_file(const std::string& path) {
  return {path, [path] { return std::make_unique<std::ifstream>(open_file(path, kMaxFileBytes)); }};
}

HfDocument read_hf_document(const HfSource& source) {
  HfDocument document;
  read_events(source, document, nullptr);
  if (!document.settings.is_object()) {
    fail(ErrorCode::kBadFile, "{}: no JSON object", source.path);
  }
  return document;
}

void for_each_hf_merge(const HfSource& source, const VisitMerge& visit) {
  HfDocument document;
  read_events(source, document, &visit);
}

nlohmann::json read_hf_settings(const std::string& path) {
  if (!std::filesystem::exists(path)) return nullptr;
  std::ifstream file = open_file(path, kMaxSettingsBytes);
  json settings = json::parse(file, nullptr, false);
  if (!settings.is_object()) fail(ErrorCode::kBadFile, "{}: no JSON object", path);
  return settings;
}

}  // namespace windlass
