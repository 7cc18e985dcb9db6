// libFuzzer target over GBNF grammars: compiling, and the tokens that they allow.
//   cmake --preset fuzz && cmake --build --preset fuzz
//   build/fuzz/tests/fuzz/gbnf_fuzz -max_total_time=120 NEW_INPUTS_DIR tests/corpus/gbnf
#include <cstddef>
#include <cstdint>

#include "tests/support/grammar_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size_bytes) {
  windlass::testing::run_grammar_target({reinterpret_cast<const char*>(data), size_bytes}, false);
  return 0;
}
