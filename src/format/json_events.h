// JSON as a stream of events: for documents that are too large, or too little to be trusted, for a
// tree. Small ones become a tree by parse_json.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace windlass {

// Receives a document's events in order; each event that is not overridden is refused. Strings are
// handed over: the handler may move from them.
class JsonHandler {
 public:
  virtual ~JsonHandler() = default;
  virtual void begin_object() { unexpected("an object"); }
  virtual void key(std::string& name);
  virtual void end_object() {}
  virtual void begin_array() { unexpected("an array"); }
  virtual void end_array() {}
  virtual void integer(std::int64_t) { unexpected("an integer"); }
  virtual void text(std::string&) { unexpected("a string"); }
  // null, a bool, a fraction, an integer past 64 bits: none of the documents read so has one.
  virtual void other(const char* what) { unexpected(what); }

 protected:
  // Throws the Error that says where the document has something that it must not have.
  [[noreturn]] virtual void unexpected(const char* what) = 0;
};

// Feeds `text` to the handler. `path` and `first_byte` (where the text begins in the file) are for
// errors. Error(kBadFile) with the byte for malformed JSON or UTF-8, bytes after the document, and
// nesting deeper than max_depth. Memory: the longest string, twice.
void read_json_events(std::string_view text, const std::string& path, std::int64_t first_byte,
                      int max_depth, JsonHandler& handler);

// A small document as a tree. Errors as above (depth 64), and Error(kBadFile) for a key that an
// object has twice. Memory: some 50 times the text, so bound the text.
nlohmann::json parse_json(std::string_view text, const std::string& path);

// A regular file as text; Error(kBadFile) when it is longer than max_bytes, Error(kIo) as
// PosixFile.
std::string read_small_file(const std::string& path, std::int64_t max_bytes);

}  // namespace windlass
