// A JSON object read by key, with errors that name the file and the key.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace windlass {

// A value in one line, for messages.
std::string shown_json(const nlohmann::json& value);

// Views an object and its path, which must outlive it. An absent key and a null are the
// same but to is_null.
// Every other type or range than asked for is Error(kBadFile).
class JsonReader {
 public:
  JsonReader(const nlohmann::json& object, const std::string& path);

  // The first of `keys` that is there.
  const nlohmann::json* find(std::initializer_list<const char*> keys) const;
  std::optional<std::int64_t> integer(std::initializer_list<const char*> keys, std::int64_t min,
                                      std::int64_t max) const;
  std::int64_t require_integer(std::initializer_list<const char*> keys, std::int64_t min,
                               std::int64_t max) const;
  // Finite.
  std::optional<double> number(std::initializer_list<const char*> keys) const;
  std::optional<bool> flag(const char* key) const;
  std::optional<std::string> text(std::initializer_list<const char*> keys) const;
  std::optional<std::vector<float>> numbers(const char* key) const;
  std::optional<std::vector<std::string>> texts(const char* key) const;
  // The key is there, with a null: not the same as being absent.
  bool is_null(const char* key) const;
  std::optional<JsonReader> object(const char* key) const;

  const std::string& path() const { return *path_; }
  // Throws Error(kBadFile): "PATH: 'key' is VALUE, not WANTED".
  [[noreturn]] void refuse(const char* key, const nlohmann::json& value,
                           const std::string& wanted) const;

 private:
  const nlohmann::json* object_;
  const std::string* path_;
};

}  // namespace windlass
