// The cases of a selftest, before any is run.
#pragma once

#include <vector>

#include "pipeline/eval/selftest.h"

namespace windlass {

// input.base is complete: context, rows and logits rows too. Each instruction set's cases begin
// with its reference.
std::vector<SelftestCase> make_selftest_cases(const Model& model, const SelftestInput& input,
                                              const Profile& profile);

}  // namespace windlass
