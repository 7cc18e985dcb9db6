// Every file of configs/ parses, and each of its keys is a long flag of the program.
#include <toml++/toml.h>

#include <array>
#include <cstdio>
#include <memory>

#include "tests/support/catch.h"
#include "tests/tidy/source_tree.h"

namespace windlass::tidy {
namespace {

// Commands that take --config; a key must be a flag of at least one.
constexpr std::array kCommands = {"run", "logits", "perplexity", "compare", "selftest", "plan"};

std::string help_of(const std::string& command) {
  const std::string line = std::string("'") + WINDLASS_BINARY + "' " + command + " --help 2>&1";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(line.c_str(), "r"), pclose);
  REQUIRE(pipe != nullptr);
  std::string text;
  std::array<char, 4096> buffer{};
  while (const std::size_t n = fread(buffer.data(), 1, buffer.size(), pipe.get()))
    text.append(buffer.data(), n);
  return text;
}

// True where `help` lists --key itself, not only a longer flag that begins with it.
bool lists_flag(const std::string& help, const std::string& key) {
  const std::string flag = "--" + key;
  for (auto at = help.find(flag); at != std::string::npos; at = help.find(flag, at + 1)) {
    const char next = at + flag.size() < help.size() ? help[at + flag.size()] : ' ';
    if (!std::isalnum(static_cast<unsigned char>(next)) && next != '-') return true;
  }
  return false;
}

// What is wrong with one config, a line each; empty if nothing.
std::string config_errors(const std::string& file, const std::string& text,
                          const std::string& help) {
  std::string errors;
  try {
    for (const auto& [key, value] : toml::parse(text, file)) {
      const std::string name(key.str());
      if (value.is_table()) {
        errors += file + ": [" + name + "] is a table; keys are long flags\n";
      } else if (!lists_flag(help, name)) {
        errors += file + ": no command has a flag --" + name + "\n";
      }
    }
  } catch (const toml::parse_error& error) {
    errors += file + ":" + std::to_string(error.source().begin.line) + ": " +
              std::string(error.description()) + "\n";
  }
  return errors;
}

TEST_CASE("every config file loads and has only keys that are flags") {
  std::string help;
  for (const char* command : kCommands) help += help_of(command);
  REQUIRE(lists_flag(help, "ram"));
  const std::vector<std::string> configs = files_below("configs", {".toml"});
  REQUIRE_FALSE(configs.empty());
  std::string errors;
  for (const std::string& file : configs) errors += config_errors(file, read_text(file), help);
  INFO(errors);
  CHECK(errors.empty());
}

TEST_CASE("a config with a bad key, a table or bad syntax is found out") {
  const std::string help = "  --ram SIZE   host budget\n  --top-k INT\n";
  CHECK(config_errors("a.toml", "ram = \"1GiB\"\ntop-k = 4\n", help).empty());
  CHECK(config_errors("a.toml", "ra = 1\n", help) == "a.toml: no command has a flag --ra\n");
  CHECK(config_errors("a.toml", "top = 1\n", help) == "a.toml: no command has a flag --top\n");
  CHECK_THAT(config_errors("a.toml", "[ram]\n", help), Contains("is a table"));
  CHECK_THAT(config_errors("a.toml", "ram = 1\nram =\n", help), Contains("a.toml:2: "));
}

}  // namespace
}  // namespace windlass::tidy
