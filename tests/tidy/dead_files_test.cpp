// No file of code lies about unused: every source is built by some target, every header is included
// by something.
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/support/catch.h"
#include "tests/tidy/source_tree.h"

namespace windlass::tidy {
namespace {

namespace fs = std::filesystem;

// Sources that this build compiles, relative to the root.
std::set<std::string> compiled_sources() {
  std::ifstream stream(fs::path(WINDLASS_BUILD_DIR) / "compile_commands.json");
  REQUIRE(stream.good());
  std::set<std::string> sources;
  for (const auto& command : nlohmann::json::parse(stream)) {
    const fs::path path = command.at("file").get<std::string>();
    sources.insert(path.lexically_relative(WINDLASS_SOURCE_DIR).generic_string());
  }
  return sources;
}

// bench and the fuzz targets are built on demand only: then a CMakeLists.txt of theirs, or one
// above, must name the file.
bool named_by_a_list(const std::string& file) {
  const fs::path path = file;
  for (fs::path folder = path.parent_path(); !folder.empty(); folder = folder.parent_path()) {
    const std::string list = (folder / "CMakeLists.txt").generic_string();
    if (!fs::exists(fs::path(WINDLASS_SOURCE_DIR) / list)) continue;
    if (read_text(list).find(path.filename().string()) != std::string::npos) return true;
  }
  return false;
}

TEST_CASE("every source file is built by some target") {
  const std::set<std::string> compiled = compiled_sources();
  REQUIRE(compiled.size() > 20);
  std::string dead;
  for (const std::string& folder : code_folders()) {
    for (const std::string& file : files_below(folder, {".cpp", ".cu"})) {
      if (!compiled.contains(file) && !named_by_a_list(file))
        dead += file + ": no target builds it\n";
    }
  }
  INFO(dead);
  CHECK(dead.empty());
}

TEST_CASE("every header is included by some file") {
  std::set<std::string> included;
  for (const auto& [file, includes] : read_include_graph()) {
    for (const Include& include : includes) included.insert(include.target);
  }
  std::string dead;
  for (const std::string& folder : code_folders()) {
    for (const std::string& file : files_below(folder, {".h"})) {
      if (!included.contains(file)) dead += file + ": nothing includes it\n";
    }
  }
  INFO(dead);
  CHECK(dead.empty());
}

}  // namespace
}  // namespace windlass::tidy
