// JSON to values and back, as Python's json module writes it.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "src/text/jinja/text_form.h"
#include "src/text/utf8.h"

namespace windlass::jinja {
namespace {

Value read_json(Heap& heap, const nlohmann::ordered_json& json, int depth);

Value read_object(Heap& heap, const nlohmann::ordered_json& json, int depth) {
  std::vector<Dict::Entry> entries;
  entries.reserve(json.size());
  for (const auto& [key, value] : json.items())
    entries.emplace_back(Value::string(&heap, repair_utf8(key)), read_json(heap, value, depth));
  return make_dict(heap, std::move(entries));
}

Value read_array(Heap& heap, const nlohmann::ordered_json& json, int depth) {
  Values items;
  items.reserve(json.size());
  for (const auto& item : json) items.push_back(read_json(heap, item, depth));
  return Value::list(&heap, std::move(items));
}

Value read_json(Heap& heap, const nlohmann::ordered_json& json, int depth) {
  using Type = nlohmann::ordered_json::value_t;
  if (depth > kMaxValueDepth) throw_unsupported("JSON is nested deeper than {}", kMaxValueDepth);
  switch (json.type()) {
    case Type::object:
      return read_object(heap, json, depth + 1);
    case Type::array:
      return read_array(heap, json, depth + 1);
    case Type::string:
      return Value::string(&heap, repair_utf8(json.get_ref<const std::string&>()));
    case Type::boolean:
      return Value::boolean(json.get<bool>());
    case Type::number_integer:
      return Value::integer(json.get<std::int64_t>());
    case Type::number_unsigned:
      if (json.get<std::uint64_t>() > INT64_MAX) throw_unsupported("integers beyond 64 bits");
      return Value::integer(json.get<std::int64_t>());
    case Type::number_float:
      return Value::real(json.get<double>());
    default:
      return Value::none();
  }
}

class JsonWriter {
 public:
  JsonWriter(Heap& heap, const JsonStyle& style) : out_(heap), style_(style) {}

  void write(const Value& value, int level) {
    switch (value.kind()) {
      case Kind::kNone:
        return out_.append("null");
      case Kind::kBool:
        return out_.append(value.to_int() != 0 ? "true" : "false");
      case Kind::kInt:
        return out_.append(std::to_string(value.to_int()));
      case Kind::kFloat:
        return out_.append(float_text(value.to_double()));
      case Kind::kString:
        return write_string(value.text());
      case Kind::kList:
      case Kind::kTuple:
        return write_list(value.items(), level);
      case Kind::kDict:
        return write_dict(value.dict(), level);
      default:
        throw_failure("Object of type {} is not JSON serializable", type_name(value));
    }
  }
  std::string take() { return out_.take(); }

 private:
  static std::string float_text(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    return format_float(value);
  }

  void write_string(std::string_view text) {
    out_.append("\"");
    std::size_t plain = 0;  // [plain, at) stands for itself and is not yet out
    for (std::size_t at = 0; at < text.size();) {
      const CodePoint point = next_code_point(text.substr(at));
      const std::string escape = escape_of(point.value);
      if (!escape.empty()) {
        out_.append(text.substr(plain, at - plain));
        out_.append(escape);
        plain = at + point.size_bytes;
      }
      at += point.size_bytes;
    }
    out_.heap().step(static_cast<std::int64_t>(text.size()) / 16);
    out_.append(text.substr(plain));
    out_.append("\"");
  }

  std::string escape_of(std::int32_t c) const {
    constexpr std::string_view kNamed = "\"\\\n\r\t\f\b", kNames = "\"\\nrtfb";
    if (c < 0x80 && kNamed.find(static_cast<char>(c)) != std::string_view::npos)
      return {'\\', kNames[kNamed.find(static_cast<char>(c))]};
    if (c >= 0x20 && (c < 0x7F || !style_.ensure_ascii)) return {};
    if (c < 0x10000) return fmt::format("\\u{:04x}", c);
    const std::int32_t above = c - 0x10000;
    return fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (above >> 10), 0xDC00 + (above & 0x3FF));
  }

  void new_line(int level) {
    if (!style_.indent) return;
    out_.append("\n");
    out_.repeat(*style_.indent, level);
  }

  void write_list(const Values& items, int level) {
    if (items.empty()) return out_.append("[]");
    out_.append("[");
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_.append(style_.item_separator);
      new_line(level + 1);
      write(items[i], level + 1);
    }
    new_line(level);
    out_.append("]");
  }

  std::string key_text(const Value& key) const {
    switch (key.kind()) {
      case Kind::kString:
        return key.text();
      case Kind::kNone:
        return "null";
      case Kind::kBool:
        return key.to_int() != 0 ? "true" : "false";
      case Kind::kInt:
        return std::to_string(key.to_int());
      case Kind::kFloat:
        return float_text(key.to_double());
      default:
        throw_failure("keys must be str, int, float, bool or None, not {}", type_name(key));
    }
  }

  void write_dict(const Dict& dict, int level) {
    if (dict.entries.empty()) return out_.append("{}");
    std::vector<std::pair<std::string, const Value*>> members;
    for (const auto& [key, value] : dict.entries) members.emplace_back(key_text(key), &value);
    if (style_.sort_keys) {
      std::stable_sort(members.begin(), members.end(),
                       [](const auto& a, const auto& b) { return a.first < b.first; });
    }
    out_.append("{");
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (i > 0) out_.append(style_.item_separator);
      new_line(level + 1);
      write_string(members[i].first);
      out_.append(style_.key_separator);
      write(*members[i].second, level + 1);
    }
    new_line(level);
    out_.append("}");
  }

  TextBuilder out_;
  const JsonStyle& style_;
};

}  // namespace

Value from_json(Heap& heap, const nlohmann::ordered_json& json) { return read_json(heap, json, 0); }

std::string to_json_text(Heap& heap, const Value& value, const JsonStyle& style) {
  JsonWriter writer(heap, style);
  writer.write(value, 0);
  return writer.take();
}

}  // namespace windlass::jinja
