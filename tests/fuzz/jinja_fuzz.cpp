// libFuzzer target over the Jinja engine.
//   cmake --preset fuzz && cmake --build --preset fuzz
//   build/fuzz/tests/fuzz/jinja_fuzz -max_total_time=120 NEW_INPUTS_DIR tests/corpus/jinja
#include <cstddef>
#include <cstdint>

#include "tests/support/jinja_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size_bytes) {
  const std::string_view source(reinterpret_cast<const char*>(data), size_bytes);
  windlass::testing::run_jinja_target(source, windlass::testing::kFuzzLimits);
  return 0;
}
