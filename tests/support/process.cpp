#include "tests/support/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "src/base/check.h"
#include "src/base/clock.h"

namespace windlass::test {
namespace {

struct Pipe {
  Pipe() { WINDLASS_CHECK(::pipe2(ends.data(), O_CLOEXEC) == 0); }
  ~Pipe() {
    close_read();
    close_write();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void close_read() { close_end(ends[0]); }
  void close_write() { close_end(ends[1]); }
  static void close_end(int& fd) {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
  std::array<int, 2> ends;
};

std::vector<std::string> child_environment(const std::vector<std::string>& added) {
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (std::strncmp(*entry, "WINDLASS_", 9) != 0) environment.emplace_back(*entry);
  }
  environment.insert(environment.end(), added.begin(), added.end());
  return environment;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

// Appends what is there; false at the end.
bool drain(int fd, std::string& text) {
  std::array<char, 65536> buffer;
  const ssize_t got = ::read(fd, buffer.data(), buffer.size());
  if (got > 0) text.append(buffer.data(), static_cast<std::size_t>(got));
  return got > 0 || (got < 0 && errno == EINTR);
}

// Writes what fits; closes the pipe when all is written or the reader is gone.
void feed(Pipe& input, std::string_view& rest) {
  const ssize_t written = ::write(input.ends[1], rest.data(), rest.size());
  if (written > 0) rest.remove_prefix(static_cast<std::size_t>(written));
  if (rest.empty() || (written < 0 && errno != EAGAIN && errno != EINTR)) input.close_write();
}

// Talks to the child until both outputs end or time is up.
void converse(pid_t child, Pipe& input, Pipe& out, Pipe& err, const ProcessOptions& options,
              ProcessResult& result) {
  std::string_view rest = options.input;
  bool seen = options.watch_for.empty();
  const double deadline_s = now_s() + options.timeout_s;
  if (rest.empty()) input.close_write();
  while (out.ends[0] >= 0 || err.ends[0] >= 0) {
    std::array<pollfd, 3> polled{
        {{out.ends[0], POLLIN, 0}, {err.ends[0], POLLIN, 0}, {input.ends[1], POLLOUT, 0}}};
    ::poll(polled.data(), polled.size(), 100);
    if (polled[0].revents != 0 && !drain(out.ends[0], result.out)) out.close_read();
    if (polled[1].revents != 0 && !drain(err.ends[0], result.err)) err.close_read();
    if (polled[2].revents != 0) feed(input, rest);
    if (!seen && result.err.find(options.watch_for) != std::string::npos) {
      seen = true;
      options.on_seen(child);
    }
    if (now_s() > deadline_s && !result.timed_out) {
      result.timed_out = true;
      ::kill(child, SIGKILL);
    }
  }
}

}  // namespace

void interrupt_process(int pid) { ::kill(pid, SIGINT); }

ProcessResult run_process(const std::vector<std::string>& argv, const ProcessOptions& options) {
  std::vector<std::string> arguments = argv;
  if (!options.shell.empty()) {
    const std::vector<std::string> shell = {"/bin/sh", "-c", options.shell, "sh"};
    arguments.insert(arguments.begin(), shell.begin(), shell.end());
  }
  std::vector<std::string> environment = child_environment(options.environment);
  const std::vector<char*> argument_pointers = pointers(arguments),
                           environment_pointers = pointers(environment);
  Pipe input, out, err;
  std::signal(SIGPIPE, SIG_IGN);               // a child that ends without reading its input
  if (options.close_output) out.close_read();  // before the child can write
  const pid_t child = ::fork();
  WINDLASS_CHECK(child >= 0);
  if (child == 0) {
    std::signal(SIGPIPE, SIG_DFL);
    ::dup2(input.ends[0], STDIN_FILENO);
    ::dup2(out.ends[1], STDOUT_FILENO);
    ::dup2(err.ends[1], STDERR_FILENO);
    ::execve(argument_pointers[0], argument_pointers.data(), environment_pointers.data());
    ::_exit(127);
  }
  input.close_read();
  out.close_write();
  err.close_write();
  ::fcntl(input.ends[1], F_SETFL, O_NONBLOCK);
  ProcessResult result;
  converse(child, input, out, err, options, result);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status)) result.exit_status = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  return result;
}

}  // namespace windlass::test
