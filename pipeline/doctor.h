// What this machine offers a run, and what to do about what it lacks: findings for `windlass
// doctor`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/format/tensor_table.h"

namespace windlass {

enum class Health : std::uint8_t { kGood, kLimited, kBad };
const char* health_name(Health health);  // "good", "limited", "bad"

struct Finding {
  std::string name;  // "isa", "gpu", "memory", ...
  Health health = Health::kGood;
  std::string what;    // what was found, with numbers
  std::string advice;  // what to do; empty when good
};

// Null when the program can compute on GPUs; else one clause that says why not, for messages such
// as
// "--vram 4GiB: this build has no CUDA kernels". Whether this machine has a GPU is a finding.
const char* no_gpu_reason();

// Looks at CPU, GPU, memory and its limits, io_uring, and direct I/O on the file system of the
// files (of scratch_dir where there are none, through a small file that is removed again). Reads a
// few pages of each file.
std::vector<Finding> examine_machine(const std::vector<ModelFile>& files,
                                     const std::string& scratch_dir);

}  // namespace windlass
