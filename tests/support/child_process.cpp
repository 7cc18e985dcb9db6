#include "tests/support/child_process.h"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>

#include "src/base/check.h"

namespace windlass {
namespace {

[[noreturn]] void be_the_child(int output, const std::function<int()>& body) {
  dup2(output, STDERR_FILENO);
  std::signal(SIGABRT, SIG_DFL);  // the test framework's handler reports to the wrong process
  int status = 99;
  try {
    status = body();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  _exit(status);
}

std::string read_all(int fd) {
  std::string text;
  std::array<char, 4096> buffer;
  for (ssize_t n = 0;
       (n = read(fd, buffer.data(), buffer.size())) > 0 || (n < 0 && errno == EINTR);) {
    if (n > 0) text.append(buffer.data(), static_cast<std::size_t>(n));
  }
  return text;
}

}  // namespace

ChildResult run_in_child(const std::function<int()>& body) {
  std::array<int, 2> ends;
  WINDLASS_CHECK(pipe(ends.data()) == 0);
  std::fflush(nullptr);
  const pid_t child = fork();
  WINDLASS_CHECK(child >= 0);
  if (child == 0) {
    close(ends[0]);
    be_the_child(ends[1], body);
  }
  close(ends[1]);
  ChildResult result;
  result.output = read_all(ends[0]);
  close(ends[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status)) result.exit_status = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  return result;
}

bool fails_a_check(const std::function<void()>& body) {
  const ChildResult result = run_in_child([&] {
    body();
    return 0;
  });
  return result.signal == SIGABRT && result.output.find("windlass: bug at") != std::string::npos;
}

}  // namespace windlass
