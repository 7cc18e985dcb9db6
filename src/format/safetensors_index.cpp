// read_safetensors: one file, or the shards that model.safetensors.index.json names:
// {"metadata": {...}, "weight_map": {"tensor": "model-00001-of-00002.safetensors", ...}}.
#include <algorithm>
#include <filesystem>
#include <unordered_map>
#include <utility>

#include "src/base/error.h"
#include "src/format/json_events.h"
#include "src/format/posix_file.h"
#include "src/format/printable.h"
#include "src/format/safetensors.h"

namespace windlass {
namespace {

constexpr std::int64_t kMaxIndexBytes = 100'000'000;  // 10^5 tensors take about 10 MB
constexpr const char* kSingleName = "/model.safetensors";
constexpr const char* kIndexName = "/model.safetensors.index.json";

// Keeps weight_map; what else an index holds (metadata: sizes) is passed over.
class IndexHandler final : public JsonHandler {
 public:
  IndexHandler(const std::string& path, std::vector<SafetensorsIndexEntry>& entries)
      : path_(path), entries_(entries) {}

  bool has_map() const { return has_map_; }

  void begin_object() override {
    ++depth_;
    if (depth_ == 2 && key_ == "weight_map") has_map_ = in_map_ = true;
    if (depth_ > 2 && in_map_) unexpected("an object");
  }
  void key(std::string& name) override { key_ = std::move(name); }
  void end_object() override {
    if (depth_ == 2) in_map_ = false;
    --depth_;
  }
  void begin_array() override {
    if (in_map_ || depth_ == 0) unexpected("an array");
  }
  void integer(std::int64_t) override { other("a number"); }
  void other(const char* what) override {
    if (in_map_ || depth_ == 0) unexpected(what);
  }
  void text(std::string& value) override {
    if (!in_map_) return;
    const bool plain = value.ends_with(".safetensors") && value.find('/') == std::string::npos &&
                       value.find('\0') == std::string::npos;
    if (!plain) {
      fail(ErrorCode::kBadFile,
           "{}: tensor '{}' is in '{}', which is no safetensors file beside it", path_,
           printable(key_), printable(value));
    }
    entries_.push_back({std::move(key_), std::move(value)});
  }

 private:
  [[noreturn]] void unexpected(const char* what) override {
    fail(ErrorCode::kBadFile, "{}: the index has {} at '{}' where none may be", path_, what,
         printable(key_));
  }

  const std::string& path_;
  std::vector<SafetensorsIndexEntry>& entries_;
  std::string key_;
  int depth_ = 0;
  bool in_map_ = false, has_map_ = false;
};

void append_file(const std::string& path, SafetensorsModel& model) {
  const PosixFile file(path);
  const ReadAt read_at = [&file](std::int64_t offset, std::span<std::byte> destination) {
    file.read_at(offset, destination);
  };
  parse_safetensors(read_at, path, file.size_bytes(), model);
}

std::vector<std::string> shard_names(const std::vector<SafetensorsIndexEntry>& entries) {
  std::vector<std::string> names;
  for (const SafetensorsIndexEntry& entry : entries) names.push_back(entry.file);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::unordered_map<std::string_view, std::size_t> index_by_name(const SafetensorsModel& model) {
  std::unordered_map<std::string_view, std::size_t> by_name;
  for (std::size_t i = 0; i < model.tensors.size(); ++i) {
    const SafetensorsTensor& tensor = model.tensors[i];
    const auto [first, inserted] = by_name.emplace(tensor.name, i);
    if (inserted) continue;
    const auto path = [&](std::size_t at) {
      return model.files[static_cast<std::size_t>(index_of(model.tensors[at].extent.file))].path;
    };
    fail(ErrorCode::kBadFile, "{}: tensor '{}' appears a second time (first in {})", path(i),
         printable(tensor.name), path(first->second));
  }
  return by_name;
}

// Each tensor of the index is in the shard that it names.
void check_against_index(const SafetensorsModel& model, const std::string& index_path,
                         const std::string& folder,
                         const std::vector<SafetensorsIndexEntry>& entries) {
  const auto by_name = index_by_name(model);
  for (const SafetensorsIndexEntry& entry : entries) {
    const auto found = by_name.find(entry.tensor);
    if (found == by_name.end()) {
      fail(ErrorCode::kBadFile, "{}: tensor '{}' is not in '{}'", index_path,
           printable(entry.tensor), entry.file);
    }
    const FileId file = model.tensors[found->second].extent.file;
    const std::string& holder = model.files[static_cast<std::size_t>(index_of(file))].path;
    if (holder != folder + "/" + entry.file) {
      fail(ErrorCode::kBadFile, "{}: tensor '{}' is in {}, not in '{}'", index_path,
           printable(entry.tensor), holder, entry.file);
    }
  }
}

}  // namespace

std::vector<SafetensorsIndexEntry> parse_safetensors_index(std::string_view text,
                                                           const std::string& path) {
  std::vector<SafetensorsIndexEntry> entries;
  IndexHandler handler(path, entries);
  read_json_events(text, path, 0, 3, handler);
  if (!handler.has_map() || entries.empty()) {
    fail(ErrorCode::kBadFile, "{}: no 'weight_map' that names tensors and their files", path);
  }
  return entries;
}

SafetensorsModel read_safetensors(const std::string& folder) {
  SafetensorsModel model;
  const std::string index_path = folder + kIndexName;
  // The single file goes first, as it does for transformers.
  if (std::filesystem::exists(folder + kSingleName) || !std::filesystem::exists(index_path)) {
    append_file(folder + kSingleName, model);
    index_by_name(model);
    return model;
  }
  const std::string text = read_small_file(index_path, kMaxIndexBytes);
  const std::vector<SafetensorsIndexEntry> entries = parse_safetensors_index(text, index_path);
  const std::vector<std::string> names = shard_names(entries);
  for (const std::string& name : names) {
    if (!std::filesystem::exists(folder + "/" + name)) {
      fail(ErrorCode::kIo, "{}: the shard '{}' (one of {}) is missing", index_path, name,
           names.size());
    }
    append_file(folder + "/" + name, model);
  }
  check_against_index(model, index_path, folder, entries);
  model.header_bytes += std::ssize(text);
  return model;
}

}  // namespace windlass
