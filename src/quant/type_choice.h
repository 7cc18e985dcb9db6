// Which type each tensor of a converted model gets.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "src/base/dtype.h"

namespace windlass {

struct ConvertTypes {
  DType matrices = DType::kF16;
  DType output = DType::kF16;  // of output.weight, or of the embedding where it serves as output
};

struct TypeChoice {
  DType type;    // what the tensor gets
  DType wanted;  // what it would get if its rows were whole blocks of that
};

// The output matrix's type where nobody names one: as llama.cpp chooses (Q6_K for any quantised
// type but Q8_0).
DType default_output_type(DType matrices);

// As llama.cpp: what has one dimension, norms, routers and positions stay F32; rows that are no
// whole blocks of the wanted type get the next larger type of 32 weights a block (Q2_K and Q3_K:
// Q4_0, Q4_K: Q5_0, Q5_K: Q5_1, Q6_K: Q8_0), or F16 where 32 does not divide them either.
// `shape`: slowest first. `is_output`: the tensor serves as the output matrix.
TypeChoice choose_type(std::string_view name, std::span<const std::int64_t> shape, bool is_output,
                       const ConvertTypes& types);

// llama.cpp's number for "mostly this type" in general.file_type.
std::uint32_t gguf_file_type(DType matrices);

}  // namespace windlass
