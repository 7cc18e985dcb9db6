// Arguments, environment and config file to one Invocation. Precedence: command line > WINDLASS_* >
// --config > default.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/command.h"

namespace windlass {

// `arguments` follow the command's name. Nothing when help was asked for (and printed).
// Error(kUsage) for anything unknown, with the nearest name.
std::optional<Invocation> parse_invocation(const Command& command,
                                           const std::vector<std::string>& arguments);

// The flags that `text` (words between white space) adds to `base`: compare's --settings. A word
// where a flag is due may leave out its dashes. Error(kUsage) for anything unknown or no flag of a
// side, with the nearest name.
Options with_side_settings(const Options& base, const std::string& text);

// Error(kUsage) with the nearest name when there is no such command.
const Command& find_command(const std::string& name);

}  // namespace windlass
