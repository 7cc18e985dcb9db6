// What the machine gives at a moment: machines drift, so a rate means most beside one taken in the
// same second.
#pragma once

#include <cstddef>
#include <span>

#include "cpu_kernels/op_table.h"

namespace windlass {

// All on the whole team.
struct MachineRates {
  double dram_bytes_per_s = 0;  // by sixteen walks a thread (read_through); 0: not measured
  double int8_ops_per_s = 0;    // multiplications and additions from cache and registers
  double f32_ops_per_s = 0;
};

// Reads up to 512 MiB of `memory` through, where it is at least 64 MiB (less stays in caches):
// memory that is there, such as weights, so that none has to be taken. Some 50 ms.
MachineRates measure_machine_rates(Team& team, const OpTable& ops,
                                   std::span<const std::byte> memory);

}  // namespace windlass
