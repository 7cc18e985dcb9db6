// Small inputs of the command line, and standard output.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace windlass {

// What a text may hold, and what sets that bound: nothing is read into memory without one.
struct TextLimit {
  std::int64_t bytes = 0;
  std::string reason;  // completes "F is longer than 4.0 MiB, "
};

// Error(kUsage) naming `name` and the first byte that is not UTF-8.
void require_utf8(std::string_view text, const std::string& name);
// The whole file; "-" reads standard input. Error(kIo) naming it, Error(kNoSpace) beyond the limit,
// Error(kUsage) unless it is UTF-8.
std::string read_text_file(const std::string& path, const TextLimit& limit);
// A JSON array of token ids in [0, 2^31). Error(kUsage) naming the file and the first bad entry;
// else as read_text_file().
std::vector<std::int32_t> read_ids_file(const std::string& path, const TextLimit& limit);

// Writes to standard output and flushes. Error(kIo) when it is closed.
void print(std::string_view text);
// One line from standard input without its newline. False at the end of input or at Ctrl-C.
// Error(kIo), Error(kNoSpace) beyond the limit.
bool read_line(std::string& line, const TextLimit& limit);

}  // namespace windlass
