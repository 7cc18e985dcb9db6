// libFuzzer target over tokenizer.json.
//   cmake --preset fuzz && cmake --build --preset fuzz
//   build/fuzz/tests/fuzz/tokenizer_fuzz -max_total_time=120 NEW_INPUTS_DIR tests/corpus/tokenizer
#include <cstddef>
#include <cstdint>
#include <string>

#include "tests/support/tokenizer_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size_bytes) {
  const std::string document(reinterpret_cast<const char*>(data), size_bytes);
  windlass::testing::run_tokenizer_target(document);
  return 0;
}
