// `--config file.toml`: keys are long flag names.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace windlass {

using ConfigEntry = std::pair<std::string, std::vector<std::string>>;  // key and its values as text

// Error(kIo) when it cannot be read; Error(kUsage) with file and line for bad TOML, a value that no
// flag takes, or a key that is not among `known` (with the nearest).
std::vector<ConfigEntry> read_config_file(const std::string& path,
                                          const std::vector<std::string>& known);

}  // namespace windlass
