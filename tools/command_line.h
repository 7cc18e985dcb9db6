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

// Error(kUsage) with the nearest name when there is no such command.
const Command& find_command(const std::string& name);

}  // namespace windlass
