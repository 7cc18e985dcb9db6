// An architecture is its description: under 60 lines of a table, and no other code knows its name.
#include "src/model/architectures.h"

#include <fmt/format.h>

#include <sstream>

#include "tests/support/catch.h"
#include "tests/tidy/source_tree.h"

namespace windlass::tidy {
namespace {

const std::string kTable = "src/model/architectures.cpp";

// Lines of each entry, from its opening to its closing brace.
std::vector<int> entry_lines(const std::string& text) {
  std::vector<int> lengths;
  bool inside = false;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line == "    Architecture{") {
      inside = true;
      lengths.push_back(0);
    }
    if (inside) ++lengths.back();
    if (line == "    },") inside = false;
  }
  return lengths;
}

std::string without_comments(const std::string& text) {
  std::string code;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) code += line.substr(0, line.find("//")) + "\n";
  return code;
}

TEST_CASE("an architecture is described in less than 60 lines") {
  const std::vector<int> lengths = entry_lines(read_text(kTable));
  REQUIRE(lengths.size() == architectures().size());
  for (const int length : lengths) {
    CHECK(length > 2);
    CHECK(length < 60);
  }
}

TEST_CASE("no code outside the descriptions asks for an architecture by name") {
  for (const std::string& file : all_sources()) {
    const bool computes = file.starts_with("src/model/") || file.starts_with("src/ops/") ||
                          file.starts_with("pipeline/") || file.starts_with("tiers/") ||
                          file.starts_with("cpu_kernels/");
    // hf_family.cpp names the architecture that a Hugging Face family is.
    if (!computes || file == kTable || file == "src/model/hf_family.cpp") continue;
    const std::string text = without_comments(read_text(file));
    for (const Architecture& architecture : architectures()) {
      const std::string literal = fmt::format("\"{}\"", architecture.name);
      INFO(file << " knows " << literal);
      CHECK(text.find(literal) == std::string::npos);
    }
  }
}

TEST_CASE("architectures are found by name, and each has one") {
  for (const Architecture& architecture : architectures()) {
    CHECK(find_architecture(architecture.name) == &architecture);
  }
  CHECK(find_architecture("gpt-2") == nullptr);
  CHECK(find_architecture("") == nullptr);
}

}  // namespace
}  // namespace windlass::tidy
