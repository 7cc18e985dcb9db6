// Reads the source tree: files, include lines, the allowed arrows, cycles.
#include "tests/tidy/source_tree.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>

namespace windlass::tidy {
namespace {

namespace fs = std::filesystem;

struct Arrow {
  std::string_view from, to;
};

// Between top-level folders. tests and bench may include anything, so they have no rows.
constexpr std::array kFolderArrows = {
    Arrow{"tools", "pipeline"},
    Arrow{"tools", "src"},
    Arrow{"pipeline", "tiers"},
    Arrow{"pipeline", "kernels"},
    Arrow{"pipeline", "cpu_kernels"},
    Arrow{"pipeline", "src"},
    Arrow{"tiers", "src"},
    Arrow{"kernels", "src"},
    Arrow{"cpu_kernels", "src"},
};
// Inside src. base, the bottom, is open to all: model reaches it through format and ops anyway.
constexpr std::array kSrcArrows = {
    Arrow{"device", "base"}, Arrow{"format", "base"}, Arrow{"ops", "base"},
    Arrow{"text", "base"},   Arrow{"model", "base"},  Arrow{"model", "format"},
    Arrow{"text", "format"}, Arrow{"model", "ops"},   Arrow{"quant", "base"},
    Arrow{"quant", "format"},
};

template <std::size_t n>
bool allowed(const std::array<Arrow, n>& arrows, std::string_view from, std::string_view to) {
  return from == to || std::any_of(arrows.begin(), arrows.end(), [&](const Arrow& arrow) {
           return arrow.from == from && arrow.to == to;
         });
}

// Part number `index` of a path: part("src/base/error.h", 1) is "base"; empty past the end and for
// the file itself.
std::string_view folder_part(std::string_view path, int index) {
  for (; index > 0; --index) {
    const auto slash = path.find('/');
    if (slash == std::string_view::npos) return {};
    path.remove_prefix(slash + 1);
  }
  const auto slash = path.find('/');
  return slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash);
}

bool includes_anything(std::string_view folder) { return folder == "tests" || folder == "bench"; }

std::string where(const Include& include) {
  return include.file + ":" + std::to_string(include.line) + ": ";
}

std::string arrow_text(std::string_view from, std::string_view to, const Include& include) {
  return where(include) + "arrow " + std::string(from) + " -> " + std::string(to) +
         " is not allowed (includes \"" + include.target + "\"; ARCHITECTURE.md has the arrows)";
}

// Depth-first search; `path` is the chain of files being visited.
struct CycleSearch {
  const IncludeGraph& graph;
  std::set<std::string> finished = {};
  std::vector<std::string> path = {};

  std::string visit(const std::string& file) {
    if (const auto begin = std::find(path.begin(), path.end(), file); begin != path.end()) {
      std::string cycle;
      for (auto it = begin; it != path.end(); ++it) cycle += *it + " -> ";
      return cycle + file;
    }
    const auto node = graph.find(file);
    if (node == graph.end() || finished.contains(file)) return {};
    path.push_back(file);
    for (const Include& include : node->second) {
      if (std::string cycle = visit(include.target); !cycle.empty()) return cycle;
    }
    path.pop_back();
    finished.insert(file);
    return {};
  }
};

}  // namespace

const std::vector<std::string>& code_folders() {
  static const std::vector<std::string> folders = {"src",         "tiers", "pipeline", "kernels",
                                                   "cpu_kernels", "tools", "tests",    "bench"};
  return folders;
}

std::vector<std::string> files_below(const std::string& folder,
                                     const std::vector<std::string>& extensions) {
  const fs::path root = WINDLASS_SOURCE_DIR;
  std::vector<std::string> files;
  if (!fs::is_directory(root / folder)) return files;
  for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
    const std::string extension = entry.path().extension().string();
    if (!entry.is_regular_file()) continue;
    if (std::find(extensions.begin(), extensions.end(), extension) == extensions.end()) continue;
    files.push_back(entry.path().lexically_relative(root).generic_string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::string> all_sources() {
  std::vector<std::string> files;
  for (const std::string& folder : code_folders()) {
    for (std::string& file : files_below(folder, {".h", ".cpp", ".cu", ".cuh"}))
      files.push_back(std::move(file));
  }
  return files;
}

std::string read_text(const std::string& file) {
  std::ifstream stream(fs::path(WINDLASS_SOURCE_DIR) / file);
  if (!stream) throw std::runtime_error("cannot read " + file);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

std::vector<Include> includes_of(const std::string& file, std::string_view text) {
  std::vector<Include> includes;
  std::istringstream lines{std::string(text)};
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    std::istringstream words(line);
    std::string word;
    char opening = 0;
    words >> std::ws;
    if (words.get() != '#' || !(words >> word)) continue;
    // "include" may touch its argument: #include<x>
    if (word.rfind("include", 0) != 0) continue;
    const auto begin = line.find_first_of("\"<", line.find("include"));
    if (begin == std::string::npos) continue;
    opening = line[begin];
    const auto end = line.find(opening == '"' ? '"' : '>', begin + 1);
    if (end == std::string::npos) continue;
    includes.push_back({file, number, line.substr(begin + 1, end - begin - 1), opening == '"'});
  }
  return includes;
}

IncludeGraph read_include_graph() {
  IncludeGraph graph;
  for (const std::string& file : all_sources()) graph[file] = includes_of(file, read_text(file));
  return graph;
}

std::string arrow_error(const Include& include) {
  const std::string_view from = folder_part(include.file, 0), to = folder_part(include.target, 0);
  const auto& folders = code_folders();
  const bool ours = std::find(folders.begin(), folders.end(), to) != folders.end();
  if (!ours) {
    if (!include.quoted) return {};
    return where(include) + "\"" + include.target + "\" is not written from the repository's root";
  }
  if (!include.quoted) return where(include) + "<" + include.target + "> is ours: quote it";
  if (!fs::is_regular_file(fs::path(WINDLASS_SOURCE_DIR) / include.target)) {
    return where(include) + "\"" + include.target + "\" does not exist";
  }
  if (includes_anything(from)) return {};
  if (!allowed(kFolderArrows, from, to)) return arrow_text(from, to, include);
  if (from == "src" && to == "src") {
    const std::string_view from_part = folder_part(include.file, 1),
                           to_part = folder_part(include.target, 1);
    if (!allowed(kSrcArrows, from_part, to_part)) {
      return arrow_text("src/" + std::string(from_part), "src/" + std::string(to_part), include);
    }
  }
  const bool backend = to == "kernels" || to == "cpu_kernels";
  if (from == "pipeline" && backend && include.target != std::string(to) + "/op_table.h") {
    return where(include) + "pipeline may include one header of " + std::string(to) +
           ", its op_table.h, not \"" + include.target + "\"";
  }
  return {};
}

std::string find_cycle(const IncludeGraph& graph) {
  CycleSearch search{graph};
  for (const auto& [file, includes] : graph) {
    if (std::string cycle = search.visit(file); !cycle.empty()) return cycle;
  }
  return {};
}

}  // namespace windlass::tidy
