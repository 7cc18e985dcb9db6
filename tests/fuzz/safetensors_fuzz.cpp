// libFuzzer target over the safetensors header parser, its index and config.json.
//   cmake --preset fuzz && cmake --build --preset fuzz
//   build/fuzz/tests/fuzz/safetensors_fuzz -max_total_time=120 NEW_INPUTS_DIR tests/corpus/safetensors
#include <cstddef>
#include <cstdint>
#include <span>

#include "tests/support/safetensors_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size_bytes) {
  windlass::testing::run_any_target(std::as_bytes(std::span(data, size_bytes)));
  return 0;
}
