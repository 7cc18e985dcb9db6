// Where a result may be written: results appear by renaming a finished file over their name, and
// that must never hit a device, a pipe or a folder, nor the model that is being read.
#pragma once

#include <string>

namespace windlass {

// Error(kUsage) when `path` exists and is no regular file, or is the same file as `input` (empty:
// none). Call before any work.
void check_output_target(const std::string& path, const std::string& input = "");

}  // namespace windlass
