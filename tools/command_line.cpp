#include "tools/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <sstream>

#include "src/base/error.h"
#include "src/base/nearest.h"
#include "tools/config_file.h"
#include "tools/files.h"

namespace windlass {
namespace {

void set_up(CLI::App& app, const Command& command, Options& options) {
  app.name(std::string("windlass ") + command.name);
  app.option_defaults()->always_capture_default()->multi_option_policy(
      CLI::MultiOptionPolicy::TakeLast);
  app.set_help_flag("-h,--help", "print this and exit");
  command.declare(app, options);
  add_common_options(app, options);
}

bool takes_value(const CLI::Option& option) { return option.get_expected_min() > 0; }

// The long name without dashes; empty for a positional and for help.
std::string long_name(const CLI::Option& option) {
  const std::vector<std::string>& names = option.get_lnames();
  return names.empty() || names.front() == "help" ? std::string() : names.front();
}

std::vector<std::string> flag_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  for (const auto& [flag, name] : multi_letter_flags()) {
    if (app.get_option_no_throw(name) != nullptr) names.push_back(flag);
  }
  return names;
}

// Rewrites multi-letter single-dash flags to their long names and refuses unknown ones. Values are
// passed over, whatever they look like: "-p --json" has the prompt "--json".
std::vector<std::string> normalise(const CLI::App& app, const std::vector<std::string>& arguments) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string argument = arguments[i];
    if (argument.size() < 2 || argument[0] != '-') {
      out.push_back(argument);
      continue;
    }
    const std::size_t equals = argument.starts_with("--") ? argument.find('=') : std::string::npos;
    std::string flag = argument.substr(0, equals);
    if (const auto alias = multi_letter_flags().find(flag); alias != multi_letter_flags().end()) {
      flag = argument = alias->second;
    }
    const bool short_cluster = flag[1] != '-' && flag.size() > 2;
    const CLI::Option* option = short_cluster ? nullptr : app.get_option_no_throw(flag);
    if (option == nullptr) {
      fail(ErrorCode::kUsage, "unknown flag {}; the nearest is {} ({} -h lists all)",
           arguments[i].substr(0, equals), nearest_name(flag, flag_names(app)), app.get_name());
    }
    out.push_back(argument);
    if (equals == std::string::npos && takes_value(*option) && i + 1 < arguments.size()) {
      out.push_back(arguments[++i]);
    }
  }
  return out;
}

std::string environment_name(const std::string& name) {
  std::string out = "WINDLASS_";
  for (const char c : name)
    out += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

// CLI11 joins what it has to say about a bad value over several lines for some checks; an error is
// one line.
std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

void set_option(CLI::Option& option, const std::vector<std::string>& values,
                const std::string& source) {
  try {
    for (const std::string& value : values) option.add_result(value);
    option.run_callback();
  } catch (const CLI::Error& error) {
    fail(ErrorCode::kUsage, "{}: {}", source, one_line(error.what()));
  }
}

std::string shown_value(const CLI::Option& option) {
  if (option.count() == 0) {
    return takes_value(option) ? option.get_default_str() : "false";
  }
  std::string text;
  for (const std::string& result : option.reduced_results())
    text += (text.empty() ? "" : ", ") + result;
  return text;
}

// Long names of every option of every command: one config file serves them all.
std::vector<std::string> all_config_keys() {
  std::vector<std::string> keys;
  for (const Command& command : commands()) {
    CLI::App app;
    Options options;
    set_up(app, command, options);
    for (const CLI::Option* option : app.get_options()) {
      if (const std::string name = long_name(*option); !name.empty() && name != "config")
        keys.push_back(name);
    }
  }
  return keys;
}

void apply_environment(CLI::App& app, std::map<std::string, Origin>& origins) {
  for (CLI::Option* option : app.get_options()) {
    const std::string name = long_name(*option);
    if (name.empty() || option->count() > 0) continue;
    const std::string variable = environment_name(name);
    if (const char* value = std::getenv(variable.c_str()); value != nullptr && *value != '\0') {
      set_option(*option, {value}, variable);
      origins[name] = Origin::kEnvironment;
    }
  }
}

void apply_config(CLI::App& app, const std::string& path, std::map<std::string, Origin>& origins) {
  for (const auto& [key, values] : read_config_file(path, all_config_keys())) {
    CLI::Option* option = app.get_option_no_throw("--" + key);
    if (option == nullptr || option->count() > 0) continue;
    set_option(*option, values, path + ": " + key);
    origins[key] = Origin::kConfig;
  }
}

}  // namespace

const char* origin_name(Origin origin) {
  switch (origin) {
    case Origin::kDefault:
      return "default";
    case Origin::kConfig:
      return "config";
    case Origin::kEnvironment:
      return "environment";
    case Origin::kCommandLine:
      return "command line";
  }
  return "";
}

bool Invocation::given(const std::string& name) const {
  return std::any_of(settings.begin(), settings.end(), [&](const Setting& setting) {
    return setting.name == name && setting.origin != Origin::kDefault;
  });
}

std::optional<Invocation> parse_invocation(const Command& command,
                                           const std::vector<std::string>& arguments) {
  Invocation invocation;
  CLI::App app(command.help);
  set_up(app, command, invocation.options);
  std::vector<std::string> normalised = normalise(app, arguments);
  std::reverse(normalised.begin(), normalised.end());  // CLI11 takes a vector from its back
  try {
    app.parse(std::move(normalised));
  } catch (const CLI::CallForHelp&) {
    print(app.help());
    return std::nullopt;
  } catch (const CLI::Error& error) {
    fail(ErrorCode::kUsage, "{} ({} -h lists the options)", one_line(error.what()), app.get_name());
  }
  std::map<std::string, Origin> origins;
  for (const CLI::Option* option : app.get_options()) {
    if (option->count() > 0) origins[long_name(*option)] = Origin::kCommandLine;
  }
  apply_environment(app, origins);
  if (!invocation.options.config.empty()) apply_config(app, invocation.options.config, origins);
  for (const CLI::Option* option : app.get_options()) {
    const std::string name = long_name(*option);
    if (name.empty()) continue;
    const auto origin = origins.find(name);
    invocation.settings.push_back(
        {name, shown_value(*option), origin == origins.end() ? Origin::kDefault : origin->second});
  }
  return invocation;
}

Options with_side_settings(const Options& base, const std::string& text) {
  Options options = base;
  CLI::App app;
  app.name("windlass compare");
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.set_help_flag();
  add_side_options(app, options);
  std::vector<std::string> words;
  bool flag_is_due = true;
  std::istringstream in(text);
  for (std::string word; in >> word;) {
    if (flag_is_due && !word.starts_with("-")) word.insert(0, "--");
    const auto alias = multi_letter_flags().find(word);
    const CLI::Option* option =
        app.get_option_no_throw(alias == multi_letter_flags().end() ? word : alias->second);
    flag_is_due = !flag_is_due || option == nullptr || !takes_value(*option);
    words.push_back(std::move(word));
  }
  if (words.empty()) fail(ErrorCode::kUsage, "--settings is empty: give side B a flag of its own");
  try {
    std::vector<std::string> normalised = normalise(app, words);
    std::reverse(normalised.begin(), normalised.end());
    app.parse(std::move(normalised));
  } catch (const std::exception& error) {
    fail(ErrorCode::kUsage, "--settings \"{}\": {}", text, one_line(error.what()));
  }
  return options;
}

const Command& find_command(const std::string& name) {
  std::vector<std::string> names;
  for (const Command& command : commands()) {
    if (name == command.name) return command;
    names.push_back(command.name);
  }
  fail(ErrorCode::kUsage, "unknown command {}; the nearest is {} (windlass -h lists all)", name,
       nearest_name(name, names));
}

}  // namespace windlass
