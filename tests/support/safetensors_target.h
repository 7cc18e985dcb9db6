// What the safetensors fuzzer and the corpus tests run over untrusted bytes: the header's parser,
// the table of a small llama, its spec and graph; and JSON documents as index and as config.json.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "src/base/error.h"
#include "src/format/json_events.h"
#include "src/format/safetensors.h"
#include "src/model/hf_folder.h"
#include "src/model/layer_graph.h"
#include "tests/support/tiny_folder.h"
#include "tests/support/untrusted.h"

namespace windlass::testing {

enum class SafetensorsOutcome { kRefused, kParsed, kModel };

struct SafetensorsResult {
  SafetensorsOutcome outcome = SafetensorsOutcome::kRefused;
  std::string error;  // of the first stage that refused
};

inline void check_extents(const SafetensorsModel& model, std::int64_t file_size) {
  std::int64_t end = 0;
  for (const SafetensorsTensor& tensor : model.tensors) {
    WINDLASS_CHECK(tensor.extent.offset_bytes >= end, tensor.extent.offset_bytes, end);
    end = tensor.extent.end_bytes();
    WINDLASS_CHECK(end <= file_size, end, file_size);
  }
}

// Only a bug of ours leaves these other than by return: any exception but Error, or a failed check.
inline SafetensorsResult run_safetensors_target(std::span<const std::byte> file) {
  SafetensorsResult result;
  const auto size = static_cast<std::int64_t>(file.size());
  try {
    SafetensorsModel stored;
    parse_safetensors(read_memory(file), "memory.safetensors", size, stored);
    check_extents(stored, size);
    result.outcome = SafetensorsOutcome::kParsed;
    const TensorTable table = make_hf_table(TinyFolder().config, "memory/config.json", stored);
    check_table(table, size);
    const ModelSpec spec = read_model_spec(table);
    check_graph(build_layer_graph(spec, table, Activations::kInt8), table);
    result.outcome = SafetensorsOutcome::kModel;
  } catch (const Error& error) {
    check_message(error);
    result.error = error.what();
  }
  return result;
}

// The error of reading `text` as an index; empty: it is one.
inline std::string run_index_target(std::string_view text) {
  try {
    for (const SafetensorsIndexEntry& entry : parse_safetensors_index(text, "memory.json")) {
      WINDLASS_CHECK(entry.file.find('/') == std::string::npos, entry.file);
    }
  } catch (const Error& error) {
    check_message(error);
    return error.what();
  }
  return {};
}

// The error of reading `text` as the config.json of a model without tensors.
inline std::string run_config_target(std::string_view text) {
  try {
    const nlohmann::json config = parse_json(text, "memory/config.json");
    const TensorTable table = make_hf_table(config, "memory/config.json", {});
    read_model_spec(table);
  } catch (const Error& error) {
    check_message(error);
    return error.what();
  }
  return {};
}

inline void run_any_target(std::span<const std::byte> bytes) {
  run_safetensors_target(bytes);
  if (bytes.empty() || bytes.front() != std::byte{'{'}) return;
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  run_index_target(text);
  run_config_target(text);
}

}  // namespace windlass::testing
