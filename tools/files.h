// Small files of the command line: text in, results out. Data goes to standard output whole or not
// at all.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace windlass {

// The whole file; "-" reads standard input. Error(kIo) naming it.
std::string read_text_file(const std::string& path);
// A JSON array of token ids in [0, 2^31). Error(kUsage) naming the file and the first bad entry.
std::vector<std::int32_t> read_ids_file(const std::string& path);
// Written beside as .partial and renamed, so that `path` is never half a file. Error(kIo).
void write_file_atomically(const std::string& path, std::string_view text);

// Writes to standard output and flushes. Error(kIo) when it is closed.
void print(std::string_view text);
// One line from standard input without its newline. False at the end of input or at Ctrl-C.
bool read_line(std::string& line);

}  // namespace windlass
