// What the GGUF fuzzer and the corpus tests run over untrusted bytes: parse, index, model spec,
// layer graph.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "src/base/error.h"
#include "src/format/gguf.h"
#include "src/model/layer_graph.h"
#include "src/model/model_spec.h"
#include "tests/support/untrusted.h"

namespace windlass::testing {

enum class GgufOutcome { kRefused, kParsed, kModel };

struct GgufResult {
  GgufOutcome outcome = GgufOutcome::kRefused;
  std::string error;  // of the first stage that refused
};

// Only a bug of ours leaves this other than by return: any exception but Error, or a failed check.
inline GgufResult run_gguf_target(std::span<const std::byte> file) {
  GgufResult result;
  const auto size = static_cast<std::int64_t>(file.size());
  try {
    TensorTable table;
    parse_gguf(read_memory(file), "memory.gguf", size, FileId{0}, table);
    table.build_index();
    check_table(table, size);
    result.outcome = GgufOutcome::kParsed;
    const ModelSpec spec = read_model_spec(table);
    check_graph(build_layer_graph(spec, table, Activations::kInt8), table);
    check_graph(build_layer_graph(spec, table, Activations::kExact), table);
    result.outcome = GgufOutcome::kModel;
  } catch (const Error& error) {
    check_message(error);
    result.error = error.what();
  }
  return result;
}

}  // namespace windlass::testing
