// The GPU that the contract tests run on: the emulated one, unless the program is linked with
// another.
#pragma once

#include "kernels/op_table.h"

namespace windlass::test {

// The items, on the one stream of the tests.
DeviceRange on_gpu(WorkRange range);
// Until all that is on the stream has run. Throws what went wrong.
void wait_for_gpu();

}  // namespace windlass::test
