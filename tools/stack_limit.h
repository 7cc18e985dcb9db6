// The stack that a command needs of the main thread, where the system gives it little.
#pragma once

namespace windlass {

// Raises this process's stack limit (ulimit -s) to 512 KiB where it is lower: a run was seen to
// need
// 96. Error(kNoSpace) where that is not allowed.
void require_stack();

}  // namespace windlass
