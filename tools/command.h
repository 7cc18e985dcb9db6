// What a command is: its name, the options it takes, and what it does with them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "tools/options.h"

namespace windlass {

enum class Origin { kDefault, kConfig, kEnvironment, kCommandLine };
const char* origin_name(Origin origin);  // "default", "config", "environment", "command line"

// One option after the command line, the environment and the config file had their say.
struct Setting {
  std::string name;  // long name without dashes
  std::string value;
  Origin origin = Origin::kDefault;
};

struct Invocation {
  Options options;
  std::vector<Setting> settings;
  // True when somebody set it: `name` is the long name.
  bool given(const std::string& name) const;
};

struct Command {
  const char* name;
  const char* help;
  void (*declare)(CLI::App& app, Options& options);
  int (*run)(const Invocation& invocation);  // exit status; throws Error
};

// All of them, in the order of the help.
std::span<const Command> commands();

int run_command(const Invocation& invocation);
int logits_command(const Invocation& invocation);
int tokenize_command(const Invocation& invocation);
int perplexity_command(const Invocation& invocation);
int compare_command(const Invocation& invocation);
int selftest_command(const Invocation& invocation);
int bench_command(const Invocation& invocation);
int plan_command(const Invocation& invocation);
int profile_command(const Invocation& invocation);
int doctor_command(const Invocation& invocation);
int info_command(const Invocation& invocation);
int convert_command(const Invocation& invocation);
int synth_command(const Invocation& invocation);

}  // namespace windlass
