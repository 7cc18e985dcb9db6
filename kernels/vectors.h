// Vectors inside the rows of a buffer (op_args.h), for kernels.
#pragma once

#include "kernels/device_words.h"
#include "src/ops/op_args.h"

namespace windlass {

inline __device__ float* vector_at(const Vectors& vectors, std::int64_t row, std::int64_t v) {
  return vectors.data + row * vectors.row_stride + v / vectors.per_group * vectors.group_stride +
         v % vectors.per_group * vectors.vector_stride;
}

}  // namespace windlass
