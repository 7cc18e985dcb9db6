#include "src/quant/type_choice.h"

#include <array>
#include <string_view>

namespace windlass {
namespace {

bool is_quantised(DType type) { return dtype_info(type).block_weights > 1; }

// Small, and read as they are: norms, routers of experts, tables by position.
bool stays_float(std::string_view name, std::span<const std::int64_t> shape) {
  constexpr std::array<std::string_view, 5> kEndings = {
      "_norm.weight", "ffn_gate_inp.weight", "position_embd.weight", "token_types.weight",
      "ffn_gate_inp_shexp.weight"};
  if (shape.size() < 2 || !name.ends_with(".weight")) return true;
  for (const std::string_view ending : kEndings) {
    if (name.ends_with(ending)) return true;
  }
  return false;
}

DType next_of_32(DType type) {
  switch (type) {
    case DType::kQ2_K:
    case DType::kQ3_K:
      return DType::kQ4_0;
    case DType::kQ4_K:
      return DType::kQ5_0;
    case DType::kQ5_K:
      return DType::kQ5_1;
    case DType::kQ6_K:
      return DType::kQ8_0;
    default:
      return DType::kF16;
  }
}

DType fitting_type(DType wanted, std::int64_t row_weights) {
  DType type = wanted;
  while (row_weights % dtype_info(type).block_weights != 0) type = next_of_32(type);
  return type;
}

}  // namespace

DType default_output_type(DType matrices) {
  return is_quantised(matrices) && matrices != DType::kQ8_0 ? DType::kQ6_K : matrices;
}

TypeChoice choose_type(std::string_view name, std::span<const std::int64_t> shape, bool is_output,
                       const ConvertTypes& types) {
  if (stays_float(name, shape)) return {DType::kF32, DType::kF32};
  const DType wanted = is_output ? types.output : types.matrices;
  return {fitting_type(wanted, shape.back()), wanted};
}

std::uint32_t gguf_file_type(DType matrices) {
  struct Row {
    DType type;
    std::uint32_t number;
  };
  constexpr std::array kRows = {
      Row{DType::kF32, 0},   Row{DType::kF16, 1},    Row{DType::kQ4_0, 2},  Row{DType::kQ4_1, 3},
      Row{DType::kQ8_0, 7},  Row{DType::kQ5_0, 8},   Row{DType::kQ5_1, 9},  Row{DType::kQ2_K, 10},
      Row{DType::kQ3_K, 11}, Row{DType::kQ4_K, 14},  Row{DType::kQ5_K, 16}, Row{DType::kQ6_K, 18},
      Row{DType::kBF16, 32}, Row{DType::kIQ4_NL, 25}};
  for (const Row& row : kRows) {
    if (row.type == matrices) return row.number;
  }
  return 1024;  // "guessed": a reader looks at the tensors
}

}  // namespace windlass
