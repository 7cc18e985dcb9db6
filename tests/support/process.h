// Runs a program as a user would: arguments, environment and standard input in; both outputs and
// the exit status out.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace windlass::test {

// SIGINT.
void interrupt_process(int pid);

struct ProcessOptions {
  // "NAME=value", on top of the test's own without WINDLASS_*.
  std::vector<std::string> environment = {};
  std::string input = {};  // standard input
  int timeout_s = 120;     // then it is killed
  std::string watch_for =
      {};  // once standard error holds this text, on_seen is called; empty: never
  std::function<void(int pid)> on_seen = interrupt_process;
  std::string shell = {};     // a line for sh that runs "$@", such as one that redirects
  bool close_output = false;  // its standard output is a pipe that nobody reads
};

struct ProcessResult {
  int exit_status = -1;  // -1: ended by a signal
  int signal = 0;
  bool timed_out = false;
  std::string out, err;
};

// argv[0] is the program's path.
ProcessResult run_process(const std::vector<std::string>& argv, const ProcessOptions& options = {});

}  // namespace windlass::test
