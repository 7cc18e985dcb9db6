// WINDLASS_CHECK: an invariant of our own code. Never for outside data (that is Error, error.h).
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace windlass::internal {

[[noreturn]] inline void check_failed(const char* file, int line, const char* condition,
                                      const std::string& values) {
  std::fprintf(stderr, "windlass: bug at %s:%d: CHECK(%s) failed%s%s\n", file, line, condition,
               values.empty() ? "" : ": ", values.c_str());
  std::abort();
}

template <typename... Args>
std::string check_values(const Args&... args) {
  std::string text;
  ((text += fmt::format("{}{}", text.empty() ? "" : ", ", args)), ...);
  return text;
}

}  // namespace windlass::internal

// WINDLASS_CHECK(a <= b, a, b) aborts with both sides printed.
#define WINDLASS_CHECK(condition, ...)                                               \
  do {                                                                               \
    if (!(condition)) [[unlikely]]                                                   \
      ::windlass::internal::check_failed(__FILE__, __LINE__, #condition,             \
                                         ::windlass::internal::check_values(__VA_ARGS__)); \
  } while (false)
