// Reading settings by key.
#include <nlohmann/json.hpp>

#include "src/base/error.h"
#include "src/base/nearest.h"
#include "src/format/printable.h"
#include "src/text/hf_steps.h"

namespace windlass {
namespace {

using Json = nlohmann::json;

const Json kNull;

}  // namespace

HfNode::HfNode(const Json& json, const std::string& path, std::string_view name)
    : json_(&json), path_(&path), name_(printable(name)) {
  if (!json.is_null() && !json.is_object()) {
    fail(ErrorCode::kBadFile, "{}: {} is no object", path, name_);
  }
}

const Json& HfNode::at(const char* key) const {
  if (!json_->is_object()) return kNull;
  const auto found = json_->find(key);
  return found == json_->end() ? kNull : *found;
}

bool HfNode::is_null() const { return json_->is_null(); }

std::string HfNode::type() const { return text("type", ""); }

bool HfNode::flag(const char* key, bool otherwise) const {
  const Json& value = at(key);
  if (value.is_null()) return otherwise;
  if (!value.is_boolean()) fail_value(key, "true or false");
  return value.get<bool>();
}

std::string HfNode::text(const char* key, const char* otherwise) const {
  const Json& value = at(key);
  if (value.is_null()) return otherwise;
  if (!value.is_string()) fail_value(key, "a string");
  return value.get<std::string>();
}

std::int64_t HfNode::number(const char* key, std::int64_t otherwise) const {
  const Json& value = at(key);
  if (value.is_null()) return otherwise;
  if (!value.is_number_integer()) fail_value(key, "an integer");
  return value.get<std::int64_t>();
}

HfNode HfNode::child(const char* key) const {
  return {at(key), *path_, name_.empty() ? key : name_ + "." + key};
}

std::vector<HfNode> HfNode::children(const char* key) const {
  const Json& list = at(key);
  if (!list.is_null() && !list.is_array()) fail_value(key, "a list");
  std::vector<HfNode> nodes;
  nodes.reserve(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    nodes.emplace_back(list[i], *path_, fmt::format("{}.{}[{}]", name_, key, i));
  }
  return nodes;
}

void HfNode::fail_type(const std::vector<std::string>& known) const {
  const std::string type = printable(this->type().substr(0, 64));
  fail(ErrorCode::kUnsupported,
       "{}: {} has the unknown type '{}'; the nearest is {}; supported: {}", *path_, name_, type,
       nearest_name(type, known), fmt::join(known, ", "));
}

void HfNode::fail_value(const char* key, const char* wanted) const {
  fail(ErrorCode::kBadFile, "{}: {}{}{} is not {}", *path_, name_, name_.empty() ? "" : ".", key,
       wanted);
}

}  // namespace windlass
