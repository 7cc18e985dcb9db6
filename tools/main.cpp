// The windlass program: finds the command, runs it, and turns what it throws into one line and an
// exit status.
#include <fcntl.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <new>
#include <nlohmann/json.hpp>

#include "src/base/error.h"
#include "tools/command_line.h"
#include "tools/files.h"
#include "tools/interrupt.h"
#include "tools/stack_limit.h"
#include "tools/thread_count.h"

namespace windlass {
namespace {

// A standard stream that the caller closed must not become the first file that is opened here, such
// as the model. What takes its place fails: one can be read only, the others written only.
void occupy_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) >= 0 || errno != EBADF) continue;
    static_cast<void>(::open("/dev/null", stream == STDOUT_FILENO ? O_RDONLY : O_WRONLY));
  }
}

void print_usage() {
  std::string text = "usage: windlass COMMAND [options]\n\n";
  for (const Command& command : commands())
    text += fmt::format("  {:<11} {}\n", command.name, command.help);
  text +=
      "\nwindlass COMMAND -h lists a command's options; windlass --version prints the version.\n";
  print(text);
}

void set_up_logging(const Options& options) {
  auto logger = std::make_shared<spdlog::logger>("windlass",
                                                 std::make_shared<spdlog::sinks::stderr_sink_st>());
  logger->set_pattern("windlass: %l: %v");
  logger->set_level(spdlog::level::from_str(options.verbose ? "debug" : options.log_level));
  spdlog::set_default_logger(std::move(logger));
}

int run_program(const std::vector<std::string>& arguments) {
  if (arguments.empty()) fail(ErrorCode::kUsage, "no command given (windlass -h lists all)");
  const std::string& first = arguments.front();
  if (first == "-h" || first == "--help" || first == "help") {
    print_usage();
    return 0;
  }
  if (first == "--version") {
    print("windlass " WINDLASS_VERSION "\n");
    return 0;
  }
  if (first.starts_with("-")) {
    fail(ErrorCode::kUsage,
         "unknown flag {}; the nearest is --version (a command comes before its flags)", first);
  }
  const Command& command = find_command(first);
  const auto invocation = parse_invocation(command, {arguments.begin() + 1, arguments.end()});
  if (!invocation) return 0;
  set_up_logging(invocation->options);
  warn_about_quota(invocation->options.threads);
  return command.run(*invocation);
}

// A file's name may hold bytes that would break the line, or steer the terminal.
std::string shown(std::string_view message) {
  std::string line;
  for (const char c : message) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {
      line += fmt::format("\\x{:02x}", byte);
    } else {
      line += c;
    }
  }
  return line;
}

int report(bool json, const char* code, const std::string& message, int status) {
  std::fprintf(stderr, "windlass: error: %s\n", shown(message).c_str());
  if (json) {
    const nlohmann::json object = {{"error", {{"code", code}, {"message", message}}}};
    // Nobody to tell when standard output is what failed.
    std::puts(object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    std::fflush(stdout);
  }
  return status;
}

int guarded_main(const std::vector<std::string>& arguments) {
  const bool json = std::find(arguments.begin(), arguments.end(), "--json") != arguments.end();
  try {
    require_stack();
    return run_program(arguments);
  } catch (const Error& error) {
    return report(json, error_code_name(error.code()), error.what(), error_exit_code(error.code()));
  } catch (const std::bad_alloc&) {
    return report(json, error_code_name(ErrorCode::kNoSpace),
                  "out of memory: the system refused an allocation; use a smaller --ram", 1);
  } catch (const std::exception& error) {
    return report(json, "failure", error.what(), 1);
  }
}

}  // namespace
}  // namespace windlass

int main(int argc, char* argv[]) {
  windlass::occupy_standard_streams();
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is a write error like any other
  std::signal(SIGXFSZ, SIG_IGN);  // and so is a file that ulimit -f stops
  windlass::install_interrupt_handler();
  return windlass::guarded_main({argv + 1, argv + std::max(argc, 1)});
}
