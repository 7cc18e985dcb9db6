#include "tools/config_file.h"

#include <toml++/toml.h>

#include <algorithm>

#include "src/base/error.h"
#include "src/base/nearest.h"
#include "tools/files.h"

namespace windlass {
namespace {

constexpr std::int64_t kMostBytes = std::int64_t{1} << 20;

std::string scalar_text(const toml::node& node, const std::string& where) {
  if (const auto text = node.value_exact<std::string>()) return *text;
  if (const auto flag = node.value_exact<bool>()) return *flag ? "true" : "false";
  if (const auto whole = node.value_exact<std::int64_t>()) return std::to_string(*whole);
  if (const auto number = node.value_exact<double>()) return fmt::format("{}", *number);
  fail(ErrorCode::kUsage, "{}: a text, number or boolean is wanted", where);
}

}  // namespace

std::vector<ConfigEntry> read_config_file(const std::string& path,
                                          const std::vector<std::string>& known) {
  toml::table table;
  try {
    table =
        toml::parse(read_text_file(path, {kMostBytes, "more than any configuration needs"}), path);
  } catch (const toml::parse_error& error) {
    fail(ErrorCode::kUsage, "{}: line {}: {}", path, error.source().begin.line,
         error.description());
  }
  std::vector<ConfigEntry> entries;
  for (const auto& [toml_key, node] : table) {
    const std::string key(toml_key.str());
    const std::string where = fmt::format("{}: line {}: {}", path, node.source().begin.line, key);
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      fail(ErrorCode::kUsage, "{}: unknown key; the nearest is {}", where,
           nearest_name(key, known));
    }
    ConfigEntry entry{key, {}};
    if (const toml::array* array = node.as_array()) {
      for (const toml::node& element : *array) entry.second.push_back(scalar_text(element, where));
    } else {
      entry.second.push_back(scalar_text(node, where));
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace windlass
