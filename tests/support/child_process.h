// Runs a piece of a test in a forked child: for code that must abort, and for limits that must not
// touch the test itself.
#pragma once

#include <functional>
#include <string>

namespace windlass {

struct ChildResult {
  int exit_status = -1;  // -1: ended by a signal
  int signal = 0;        // 0: exited
  std::string output;    // its standard error
};

// The child's exit status is what `body` returns; an exception makes it 99 and prints its message.
ChildResult run_in_child(const std::function<int()>& body);
// True when `body` aborts with a failed WINDLASS_CHECK.
bool fails_a_check(const std::function<void()>& body);

}  // namespace windlass
