// The one exception of the project: an operating failure that ends a run or a request.
// Bugs use WINDLASS_CHECK (check.h); expected outcomes are return values.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace windlass {

enum class ErrorCode {
  kUsage,        // the command line or configuration is wrong: exit 2
  kBadFile,      // a file's content is not what its format promises
  kIo,           // the operating system refused or failed a read, write or open
  kUnsupported,  // well-formed, but this build or machine cannot do it
  kNoSpace,      // a budget, a disk or a context is too small
  kDevice,       // a device failed or was lost
  kInterrupted,  // Ctrl-C: exit 130
};

// The name used by `--json` errors: "usage", "bad_file", ...
const char* error_code_name(ErrorCode code);
// The process's exit status for an error of this kind: 2 usage, 130 interrupted, else 1.
int error_exit_code(ErrorCode code);

// message = what failed, on which object, the numbers with units, what to try; one line.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

template <typename... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace windlass
