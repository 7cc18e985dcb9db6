// The instruction sets of this machine, for tests that sweep them.
#pragma once

#include <cstdio>
#include <vector>

#include "cpu_kernels/op_table.h"
#include "tests/support/op_data.h"

namespace windlass::test {

// The instruction sets to test; one that this machine lacks is named, once, with what it lacks.
inline std::vector<Isa> present_isas() {
  static const std::vector<Isa> present = [] {
    std::vector<Isa> isas;
    for (const Isa isa : kAllIsas) {
      if (isa_present(isa)) {
        isas.push_back(isa);
      } else {
        std::printf("skipped: %s needs %s\n", isa_name(isa), missing_features(isa).c_str());
      }
    }
    return isas;
  }();
  return present;
}

}  // namespace windlass::test
