// Where a command's results go, checked before any work is done.
#pragma once

#include <vector>

#include "src/format/tensor_table.h"
#include "tools/options.h"

namespace windlass {

// Every output of the options can be written, and replaces none of the inputs, no other output and
// nothing that the program's own output goes to. read_files: what the command reads beside the
// files that the options name, such as a model's shards. Error(kUsage), Error(kIo),
// Error(kNoSpace).
void check_outputs(const Options& options, const std::vector<ModelFile>& read_files);

}  // namespace windlass
