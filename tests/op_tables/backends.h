// Every op table there is, in one form: the contract tests run the same body on each.
#pragma once

#include <string>
#include <vector>

#include "src/ops/op_table.h"
#include "tests/support/op_data.h"

namespace windlass::test {

// Rows may be null: a test passes over a backend that has not got the row (coverage_test.cpp says
// which those are). Ops of a GPU have ended when the call returns, and take heap memory alone: what
// their arguments point to is never on the stack.
struct Backend {
  std::string name;  // "avx2", "cuda"
  OpTable ops;
  bool is_gpu;
};

// The instruction sets of this machine, then the GPU; one alone where WINDLASS_TEST_BACKEND names
// it.
const std::vector<Backend>& backends();

}  // namespace windlass::test
