// A file compiled for a wider instruction set must not offer the linker a copy of a shared inline
// function: the linker may keep that copy for the whole program, and then an older CPU crashes in
// code that never asked for the wider set. So the objects isa_*.cpp.o of cpu_kernels define their
// op table and nothing else that other files could bind to.
#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include "cpu_kernels/op_table.h"
#include "tests/support/catch.h"

namespace windlass::test {
namespace {

struct Symbol {
  std::string object, kind, name;
};

// What nm lists of the library, with the member that each symbol is in.
std::vector<Symbol> symbols_of(const std::string& library) {
  std::FILE* nm = ::popen(("nm -C --defined-only '" + library + "'").c_str(), "r");
  REQUIRE(nm != nullptr);
  std::vector<Symbol> symbols;
  std::string object;
  std::array<char, 4096> line{};
  while (std::fgets(line.data(), static_cast<int>(line.size()), nm) != nullptr) {
    std::string text(line.data());
    text.resize(text.find_last_not_of("\r\n") + 1);
    if (!text.empty() && text.back() == ':') {
      object = text.substr(0, text.size() - 1);
    } else if (text.size() > 19) {  // "0000000000000000 T name"
      symbols.push_back({object, text.substr(17, 1), text.substr(19)});
    }
  }
  REQUIRE(::pclose(nm) == 0);
  return symbols;
}

bool is_isa_object(const std::string& object) { return object.rfind("isa_", 0) == 0; }

}  // namespace

TEST_CASE(
    "objects of one instruction set define their op table and no symbol that others can bind to") {
  const std::vector<Symbol> symbols = symbols_of(WINDLASS_CPU_KERNELS_LIBRARY);
  int tables = 0;
  for (const Symbol& symbol : symbols) {
    if (!is_isa_object(symbol.object)) continue;
    const bool table = symbol.name.rfind("windlass::k", 0) == 0 &&
                       symbol.name.find("Table") == symbol.name.size() - 5;
    tables += table ? 1 : 0;
    // Lower-case letters are local symbols, but for v, w and u, which are weak or unique.
    const bool local = symbol.kind.find_first_of("abcdnrst") == 0;
    INFO(symbol.object << " defines " << symbol.kind << ' ' << symbol.name);
    REQUIRE((table || local));
  }
  REQUIRE(tables == std::ssize(kAllIsas));
}

TEST_CASE("no code of an instruction set runs at program start") {
  for (const Symbol& symbol : symbols_of(WINDLASS_CPU_KERNELS_LIBRARY)) {
    if (!is_isa_object(symbol.object)) continue;
    INFO(symbol.object << " defines " << symbol.name);
    REQUIRE(symbol.name.find("_GLOBAL__sub_I") == std::string::npos);
    REQUIRE(symbol.name.find("static_initialization") == std::string::npos);
  }
}

}  // namespace windlass::test
