// libFuzzer target over the GGUF parser and what reads its tables.
//   cmake --preset fuzz && cmake --build --preset fuzz
//   build/fuzz/tests/fuzz/gguf_fuzz -max_total_time=120 NEW_INPUTS_DIR tests/corpus/gguf
#include <cstddef>
#include <cstdint>
#include <span>

#include "tests/support/gguf_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size_bytes) {
  windlass::testing::run_gguf_target(std::as_bytes(std::span(data, size_bytes)));
  return 0;
}
