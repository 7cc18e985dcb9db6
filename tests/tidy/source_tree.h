// The repository's sources as the tidy tests see them: which files there are and what each
// includes.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace windlass::tidy {

// Paths are relative to the repository's root, with '/' between parts: "src/base/error.h".
struct Include {
  std::string file;    // the file that has the line
  int line = 0;        // 1-based
  std::string target;  // as written between the quotes or brackets
  bool quoted = false;
};

// The top-level folders that hold code.
const std::vector<std::string>& code_folders();

// Files below folder (relative to the root), with one of the extensions (".cpp"), in name order.
std::vector<std::string> files_below(const std::string& folder,
                                     const std::vector<std::string>& extensions);
// Sources and headers of every code folder.
std::vector<std::string> all_sources();

std::string read_text(const std::string& file);

// The #include lines of one file's text.
std::vector<Include> includes_of(const std::string& file, std::string_view text);

// Files of the repository that each file includes.
using IncludeGraph = std::map<std::string, std::vector<Include>>;
IncludeGraph read_include_graph();

// What is wrong with one include, or an empty string: "tiers/link.cpp:12: arrow tiers -> pipeline
// is not allowed ...".
std::string arrow_error(const Include& include);

// One include cycle as "a.h -> b.h -> a.h", or an empty string. Self-includes count.
std::string find_cycle(const IncludeGraph& graph);

}  // namespace windlass::tidy
