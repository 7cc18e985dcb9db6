// libFuzzer target over JSON schemas: compiling, and the tokens that they allow.
//   cmake --preset fuzz && cmake --build --preset fuzz
//   build/fuzz/tests/fuzz/json_schema_fuzz -max_total_time=120 NEW_INPUTS_DIR
//   tests/corpus/json_schema
#include <cstddef>
#include <cstdint>

#include "tests/support/grammar_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size_bytes) {
  windlass::testing::run_grammar_target({reinterpret_cast<const char*>(data), size_bytes}, true);
  return 0;
}
