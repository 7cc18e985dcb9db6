#include "src/model/gguf_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "src/base/error.h"

namespace windlass {
namespace {

constexpr const char* kTokenizerPrefix = "tokenizer.ggml.";

void add_setting(const std::string& key, const MetadataValue& value, GgufHeaderBuilder& header) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) {
    // Counts and sizes: hf_config.cpp lets nothing else through.
    if (*number < 0 || *number > std::numeric_limits<std::uint32_t>::max()) {
      fail(ErrorCode::kBadFile, "'{}' is {}, which a GGUF has no room for", key, *number);
    }
    header.add_metadata_u32(key, static_cast<std::uint32_t>(*number));
  } else if (const auto* real = std::get_if<double>(&value)) {
    header.add_metadata_f32(key, static_cast<float>(*real));
  } else {
    header.add_metadata(key, value);
  }
}

constexpr std::pair<double, const char*> kScales[] = {{1e12, "T"}, {1e9, "B"}, {1e6, "M"}};

// "177K", "8.0B": at least two digits.
std::string rounded(double count) {
  const char* suffix = "K";
  double scaled = count / 1e3;
  for (const auto& [scale, name] : kScales) {
    if (count <= scale) continue;
    scaled = count / scale;
    suffix = name;
    break;
  }
  return fmt::format("{:.{}f}{}", scaled, std::round(scaled) < 10 ? 1 : 0, suffix);
}

// As llama.cpp's converter: all weights; of experts their number and the weights of a model that
// had one of them.
std::string size_label(const std::vector<GgufTensor>& tensors) {
  std::int64_t weights = 0, experts = 0;
  for (const GgufTensor& tensor : tensors) {
    const bool routed = tensor.sources.size() > 1;
    const auto n = routed ? std::ssize(tensor.sources) : 1;
    if (routed) experts = std::max(experts, n);
    weights += tensor.rows * tensor.width / n;
  }
  const std::string label = rounded(static_cast<double>(weights));
  return experts > 0 ? fmt::format("{}x{}", experts, label) : label;
}

}  // namespace

void add_gguf_settings(const TensorTable& table, const std::vector<GgufTensor>& tensors,
                       GgufHeaderBuilder& header) {
  const std::string& architecture = *table.find_string("general.architecture");
  header.add_metadata("general.architecture", architecture);
  header.add_metadata("general.type", std::string("model"));
  header.add_metadata("general.size_label", size_label(tensors));
  for (const auto& [key, value] : table.metadata) {
    if (key == "general.architecture" || key.starts_with(kTokenizerPrefix)) continue;
    add_setting(key, value, header);
  }
  if (table.conventions.qkv_by_group) {
    // The name that llama.cpp gave the order of rows that this layout has.
    header.add_metadata(architecture + ".tensor_data_layout", std::string("jploski"));
  }
}

}  // namespace windlass
