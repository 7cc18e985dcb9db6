// Values: making, comparing, hashing.
#include "src/text/jinja/value.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "src/base/check.h"
#include "src/text/jinja/unicode.h"

namespace windlass::jinja {
namespace {

constexpr std::int64_t kObjectBytes = 64;  // header, control block and allocation, about
constexpr std::size_t kSmallDict = 8;      // searched without an index

bool same_items(Heap& heap, const Values& a, const Values& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!equals(heap, a[i], b[i])) return false;
  }
  return true;
}

bool same_dicts(Heap& heap, const Dict& a, const Dict& b) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    const Value* other = b.find(heap, key);
    if (other == nullptr || !equals(heap, value, *other)) return false;
  }
  return true;
}

bool same_ranges(const Range& a, const Range& b) {
  return a.size == b.size && (a.size == 0 || a.start == b.start) &&
         (a.size < 2 || a.step == b.step);
}

}  // namespace

Object::Object(Heap* heap, std::int64_t size_bytes, int depth)
    : heap_(nullptr), size_bytes_(size_bytes), depth_(depth) {
  if (depth > kMaxValueDepth) throw_unsupported("a value is nested deeper than {}", kMaxValueDepth);
  if (heap != nullptr) heap->hold(size_bytes);
  heap_ = heap;
}

Object::~Object() {
  if (heap_ != nullptr) heap_->release(size_bytes_);
}

String::String(Heap* heap, std::string value, bool is_safe)
    : Object(heap, kObjectBytes + static_cast<std::int64_t>(value.capacity()), 1),
      text(std::move(value)),
      n_code_points(count_code_points(text)),
      safe(is_safe) {}

int deepest(const Values& values) {
  int depth = 0;
  for (const Value& value : values) depth = std::max(depth, value.depth());
  return depth;
}

List::List(Heap* heap, Values values)
    : Object(heap, kObjectBytes + static_cast<std::int64_t>(values.capacity() * sizeof(Value)),
             deepest(values) + 1),
      items(std::move(values)) {}

namespace {
std::int64_t dict_bytes(const std::vector<Dict::Entry>& entries) {
  constexpr std::int64_t kIndexBytes = 48;  // a node and its bucket
  return kObjectBytes + static_cast<std::int64_t>(entries.capacity()) *
                            (static_cast<std::int64_t>(sizeof(Dict::Entry)) + kIndexBytes);
}
int dict_depth(const std::vector<Dict::Entry>& entries) {
  int depth = 0;
  for (const auto& [key, value] : entries) depth = std::max({depth, key.depth(), value.depth()});
  return depth + 1;
}
}  // namespace

Dict::Dict(Heap& heap, std::vector<Entry> given)
    : Object(&heap, dict_bytes(given), dict_depth(given)) {
  entries.reserve(given.size());
  const bool indexed = given.size() > kSmallDict;
  for (Entry& entry : given) {
    heap.step();
    const std::size_t hash = hash_of(heap, entry.first);
    const std::size_t at = position(heap, entry.first, hash);
    if (at < entries.size()) {
      entries[at].second = std::move(entry.second);
      continue;
    }
    if (indexed) by_hash_.emplace(hash, static_cast<std::uint32_t>(entries.size()));
    entries.push_back(std::move(entry));
  }
}

std::size_t Dict::position(Heap& heap, const Value& key, std::size_t hash) const {
  if (by_hash_.empty()) {
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (equals(heap, entries[i].first, key)) return i;
    }
    return entries.size();
  }
  const auto [begin, end] = by_hash_.equal_range(hash);
  for (auto it = begin; it != end; ++it) {
    if (equals(heap, entries[it->second].first, key)) return it->second;
  }
  return entries.size();
}

const Value* Dict::find(Heap& heap, const Value& key) const {
  const std::size_t at = position(heap, key, hash_of(heap, key));
  return at < entries.size() ? &entries[at].second : nullptr;
}

const Value* Dict::find(Heap& heap, std::string_view key) const {
  heap.step(1 + static_cast<std::int64_t>(key.size()) / 256);
  const auto is_key = [&](const Entry& entry) {
    return entry.first.is_string() && entry.first.text() == key;
  };
  if (by_hash_.empty()) {
    const auto it = std::find_if(entries.begin(), entries.end(), is_key);
    return it == entries.end() ? nullptr : &it->second;
  }
  const auto [begin, end] = by_hash_.equal_range(std::hash<std::string_view>()(key));
  for (auto it = begin; it != end; ++it) {
    heap.step();
    if (is_key(entries[it->second])) return &entries[it->second].second;
  }
  return nullptr;
}

Value Value::undefined(std::string message) {
  // Not counted against the heap, so short: what was looked for may be of any length.
  constexpr std::int64_t kMaxMessage = 200;
  message.resize(offset_of(message, kMaxMessage));
  return of(Kind::kUndefined, std::make_shared<String>(nullptr, std::move(message), false));
}

Value Value::boolean(bool value) {
  Value result(Kind::kBool);
  result.bool_ = value;
  return result;
}

Value Value::integer(std::int64_t value) {
  Value result(Kind::kInt);
  result.int_ = value;
  return result;
}

Value Value::real(double value) {
  Value result(Kind::kFloat);
  result.double_ = value;
  return result;
}

Value Value::string(Heap* heap, std::string text, bool safe) {
  return of(Kind::kString, std::make_shared<String>(heap, std::move(text), safe));
}

Value Value::list(Heap* heap, Values items) {
  return of(Kind::kList, std::make_shared<List>(heap, std::move(items)));
}

Value Value::tuple(Heap* heap, Values items) {
  return of(Kind::kTuple, std::make_shared<List>(heap, std::move(items)));
}

Value Value::of(Kind kind, std::shared_ptr<Object> object) {
  Value result(kind);
  result.object_ = std::move(object);
  return result;
}

std::int64_t Value::to_int() const {
  WINDLASS_CHECK(is_integral());
  return kind_ == Kind::kBool ? static_cast<std::int64_t>(bool_) : int_;
}

double Value::to_double() const {
  return kind_ == Kind::kFloat ? double_ : static_cast<double>(to_int());
}

const std::string& Value::text() const {
  static const std::string kUnnamed = "a value is undefined";
  WINDLASS_CHECK(is_string() || is_undefined());
  return object_ ? object<String>().text : kUnnamed;
}

std::int64_t Value::n_code_points() const { return object<String>().n_code_points; }

bool Value::is_ascii() const { return n_code_points() == static_cast<std::int64_t>(text().size()); }

bool Value::is_safe() const { return is_string() && object<String>().safe; }

const Values& Value::items() const {
  WINDLASS_CHECK(has_items());
  return object<List>().items;
}

const Dict& Value::dict() const {
  WINDLASS_CHECK(is(Kind::kDict));
  return object<Dict>();
}

Value make_dict(Heap& heap, std::vector<Dict::Entry> entries) {
  return Value::of(Kind::kDict, std::make_shared<Dict>(heap, std::move(entries)));
}

std::string_view type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kDictView:
      return "dict view";
    case Kind::kRange:
      return "range";
    case Kind::kIterator:
      return "generator";
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kLoop:
      return "LoopContext";
    case Kind::kFunction:
      return "function";
  }
  return "";
}

bool is_true(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.to_int() != 0;
    case Kind::kFloat:
      return value.to_double() != 0;
    case Kind::kString:
      return !value.text().empty();
    case Kind::kList:
    case Kind::kTuple:
      return !value.items().empty();
    case Kind::kDict:
      return !value.dict().entries.empty();
    case Kind::kDictView:
      return is_true(value.object<DictView>().dict);
    case Kind::kRange:
      return value.object<Range>().size > 0;
    default:
      return true;
  }
}

bool equals(Heap& heap, const Value& a, const Value& b) {
  heap.step();
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return a.to_int() == b.to_int();
    return a.to_double() == b.to_double();
  }
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      heap.step(static_cast<std::int64_t>(a.text().size()) / 256);
      return a.text() == b.text();
    case Kind::kList:
    case Kind::kTuple:
      return same_items(heap, a.items(), b.items());
    case Kind::kDict:
      return same_dicts(heap, a.dict(), b.dict());
    case Kind::kRange:
      return same_ranges(a.object<Range>(), b.object<Range>());
    case Kind::kDictView:
      throw_unsupported("comparing dict views");
    default:
      return a.identity() == b.identity();
  }
}

std::size_t hash_of(Heap& heap, const Value& value) {
  heap.step();
  switch (value.kind()) {
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kFloat:  // equal numbers of different kinds have equal hashes
      return std::hash<double>()(value.to_double());
    case Kind::kString:
      heap.step(static_cast<std::int64_t>(value.text().size()) / 256);
      return std::hash<std::string>()(value.text());
    case Kind::kTuple: {
      std::size_t hash = value.items().size();
      for (const Value& item : value.items()) hash = hash * 1000003 ^ hash_of(heap, item);
      return hash;
    }
    case Kind::kList:
    case Kind::kDict:
    case Kind::kDictView:
      throw_failure("unhashable type: '{}'", type_name(value));
    default:
      return std::hash<const void*>()(value.identity());
  }
}

}  // namespace windlass::jinja
