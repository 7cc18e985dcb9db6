#include "src/format/json_events.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <vector>

#include "src/base/error.h"
#include "src/format/posix_file.h"
#include "src/format/printable.h"

namespace windlass {
namespace {

using Json = nlohmann::json;

constexpr int kMaxTreeDepth = 64;

// The parser's callbacks as a JsonHandler's events.
class EventAdaptor final : public Json::json_sax_t {
 public:
  EventAdaptor(const std::string& path, std::int64_t first_byte, int max_depth,
               JsonHandler& handler)
      : path_(path), first_byte_(first_byte), max_depth_(max_depth), handler_(handler) {}

  bool null() override { return other("a null"); }
  bool boolean(bool) override { return other("a bool"); }
  bool number_float(number_float_t, const string_t&) override { return other("a fraction"); }
  bool binary(binary_t&) override { return other("binary data"); }
  bool number_integer(number_integer_t value) override {
    handler_.integer(value);
    return true;
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return other("a number past 63 bits");
    }
    handler_.integer(static_cast<std::int64_t>(value));
    return true;
  }
  bool string(string_t& value) override {
    handler_.text(value);
    return true;
  }
  bool key(string_t& name) override {
    handler_.key(name);
    return true;
  }
  bool start_object(std::size_t) override {
    go_deeper();
    handler_.begin_object();
    return true;
  }
  bool end_object() override {
    --depth_;
    handler_.end_object();
    return true;
  }
  bool start_array(std::size_t) override {
    go_deeper();
    handler_.begin_array();
    return true;
  }
  bool end_array() override {
    --depth_;
    handler_.end_array();
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
    fail(ErrorCode::kBadFile, "{}: byte {}: this is not valid JSON", path_,
         first_byte_ + static_cast<std::int64_t>(position));
  }

 private:
  bool other(const char* what) {
    handler_.other(what);
    return true;
  }
  void go_deeper() {
    if (++depth_ <= max_depth_) return;
    fail(ErrorCode::kBadFile, "{}: its JSON nests deeper than {} levels", path_, max_depth_);
  }

  const std::string& path_;
  const std::int64_t first_byte_;
  const int max_depth_;
  JsonHandler& handler_;
  int depth_ = 0;
};

// Refuses what the tree's parser lets pass: great depth, and the second of two equal keys.
class TreeGuard {
 public:
  explicit TreeGuard(const std::string& path) : path_(path) {}

  bool operator()(int depth, Json::parse_event_t event, const Json& value) {
    if (depth > kMaxTreeDepth) {
      fail(ErrorCode::kBadFile, "{}: its JSON nests deeper than {} levels", path_, kMaxTreeDepth);
    }
    if (event == Json::parse_event_t::object_start) keys_.emplace_back();
    if (event == Json::parse_event_t::object_end) keys_.pop_back();
    if (event == Json::parse_event_t::key && !keys_.back().insert(value).second) {
      fail(ErrorCode::kBadFile, "{}: the key '{}' appears a second time", path_,
           printable(value.get_ref<const std::string&>()));
    }
    return true;
  }

 private:
  const std::string& path_;
  std::vector<std::unordered_set<std::string>> keys_;  // of the objects that are open
};

}  // namespace

void JsonHandler::key(std::string&) { unexpected("a key"); }

void read_json_events(std::string_view text, const std::string& path, std::int64_t first_byte,
                      int max_depth, JsonHandler& handler) {
  EventAdaptor adaptor(path, first_byte, max_depth, handler);
  Json::sax_parse(text, &adaptor);
}

nlohmann::json parse_json(std::string_view text, const std::string& path) {
  TreeGuard guard(path);
  try {
    return Json::parse(text, std::ref(guard));
  } catch (const Json::parse_error& error) {
    fail(ErrorCode::kBadFile, "{}: byte {}: this is not valid JSON", path, error.byte);
  } catch (const Json::out_of_range&) {
    fail(ErrorCode::kBadFile, "{}: its JSON has a number past the range of a double", path);
  }
}

std::string read_small_file(const std::string& path, std::int64_t max_bytes) {
  const PosixFile file(path);
  if (file.size_bytes() > max_bytes) {
    fail(ErrorCode::kBadFile, "{}: {} B, more than the {} B that such a file may have", path,
         file.size_bytes(), max_bytes);
  }
  std::string text(static_cast<std::size_t>(file.size_bytes()), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

}  // namespace windlass
