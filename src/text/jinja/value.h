// Values of a template: Python's, as far as templates see them. Lists and dicts never change once
// made (templates run in an immutable sandbox), so values share them; only namespaces, loops and
// iterators have state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "src/text/jinja/heap.h"

namespace windlass::jinja {

enum class Kind : std::uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kDictView,  // d.keys(), d.values(), d.items()
  kRange,
  kIterator,  // what map, select and the like give: can be walked once
  kNamespace,
  kLoop,
  kFunction,  // a macro, a method with its object, a global function
};

// Anything too large for a Value. Its bytes count against the heap from its constructor on.
class Object {
 public:
  // heap: null for constants of the template, which outlive it. depth: of the deepest value
  // within, plus one.
  Object(Heap* heap, std::int64_t size_bytes, int depth);
  virtual ~Object();
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  int depth() const { return depth_; }

 private:
  Heap* heap_;
  std::int64_t size_bytes_;
  int depth_;
};

struct List;
struct Dict;
class Value;
using Values = std::vector<Value>;

// 32 bytes. Copies share their object.
class Value {
 public:
  Value() = default;  // undefined, with nothing to say about itself
  // message: what any use of it but printing or testing says.
  static Value undefined(std::string message);
  static Value none() { return Value(Kind::kNone); }
  static Value boolean(bool value);
  static Value integer(std::int64_t value);
  static Value real(double value);
  static Value string(Heap* heap, std::string text, bool safe = false);
  static Value list(Heap* heap, Values items);
  static Value tuple(Heap* heap, Values items);
  static Value of(Kind kind, std::shared_ptr<Object> object);

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_number() const {  // as in Python, a bool is one
    return kind_ == Kind::kBool || kind_ == Kind::kInt || kind_ == Kind::kFloat;
  }
  bool is_integral() const { return kind_ == Kind::kBool || kind_ == Kind::kInt; }
  // A list or a tuple.
  bool has_items() const { return kind_ == Kind::kList || kind_ == Kind::kTuple; }

  // REQUIRES: is_integral().
  std::int64_t to_int() const;
  // REQUIRES: is_number().
  double to_double() const;
  // REQUIRES: is_string(); of an undefined value, its message.
  const std::string& text() const;
  // REQUIRES: is_string().
  std::int64_t n_code_points() const;
  bool is_ascii() const;
  // Marked as needing no HTML escapes (the filter `safe`): + escapes what is joined to it.
  bool is_safe() const;
  // REQUIRES: has_items().
  const Values& items() const;
  // REQUIRES: is(Kind::kDict).
  const Dict& dict() const;
  template <typename T>
  T& object() const {
    return static_cast<T&>(*object_);
  }
  const Object* identity() const { return object_.get(); }
  std::shared_ptr<Object> share() const { return object_; }
  int depth() const { return object_ ? object_->depth() : 0; }

 private:
  explicit Value(Kind kind) : kind_(kind) {}

  Kind kind_ = Kind::kUndefined;
  union {
    bool bool_;
    std::int64_t int_ = 0;
    double double_;
  };
  std::shared_ptr<Object> object_;
};

int deepest(const Values& values);

struct String final : Object {
  String(Heap* heap, std::string value, bool is_safe);
  const std::string text;  // valid UTF-8
  const std::int64_t n_code_points;
  const bool safe;
};

struct List final : Object {
  List(Heap* heap, Values values);
  const Values items;
};

// In the order of insertion, as Python's.
struct Dict final : Object {
  using Entry = std::pair<Value, Value>;
  // Of equal keys the first one's place and the last one's value count. Failure where a key cannot
  // be one (a list).
  Dict(Heap& heap, std::vector<Entry> given);
  // Null when absent.
  const Value* find(Heap& heap, const Value& key) const;
  const Value* find(Heap& heap, std::string_view key) const;

  std::vector<Entry> entries;

 private:
  // Where the key's entry is, or entries.size().
  std::size_t position(Heap& heap, const Value& key, std::size_t hash) const;
  std::unordered_multimap<std::size_t, std::uint32_t> by_hash_;
};

enum class DictPart : std::uint8_t { kKeys, kValues, kItems };
struct DictView final : Object {
  DictView(Heap* heap, Value of, DictPart which)
      : Object(heap, 64, of.depth() + 1), dict(std::move(of)), part(which) {}
  const Value dict;
  const DictPart part;
};

struct Range final : Object {
  Range(Heap* heap, std::int64_t first, std::int64_t length, std::int64_t by, std::int64_t end)
      : Object(heap, 64, 1), start(first), size(length), step(by), stop(end) {}
  const std::int64_t start, size, step;
  const std::int64_t stop;  // as it prints
};

struct Namespace final : Object {
  explicit Namespace(Heap* heap) : Object(heap, 256, 1) {}
  std::unordered_map<std::string, Value> attributes;
};

Value make_dict(Heap& heap, std::vector<Dict::Entry> entries);
// Python's name of its type: "str", "NoneType".
std::string_view type_name(const Value& value);
bool is_true(const Value& value);
// Python's ==. Never fails but at a limit.
bool equals(Heap& heap, const Value& a, const Value& b);
// Failure for what cannot be a key of a dict.
std::size_t hash_of(Heap& heap, const Value& value);

// JSON to values; bytes that are not UTF-8 become U+FFFD. Failure where it is nested deeper than
// kMaxValueDepth.
Value from_json(Heap& heap, const nlohmann::ordered_json& json);

}  // namespace windlass::jinja
