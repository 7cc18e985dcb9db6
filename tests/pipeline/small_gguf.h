// Model files of random weights, made on the spot: small enough for tests, large enough to stream.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/base/dtype.h"
#include "src/model/model.h"

namespace windlass::test {

struct SmallTensor {
  std::string name;
  DType type;
  std::vector<std::int64_t> shape;  // slowest first
};

// Writes tensors of random values (F32 or Q8_0) around 0; norms (one dimension) around 1.
void write_random_gguf(const std::string& path, const std::vector<SmallTensor>& tensors,
                       const std::vector<std::pair<std::string, std::uint32_t>>& integers = {});

struct SmallLlama {
  DType type = DType::kQ8_0;
  std::int64_t layers = 4, d_model = 256, d_ffn = 768, heads = 4, kv_heads = 2, vocab = 6400;
};
// About 8 MB as it stands: layers of blocks from 68 to 204 KiB, and a head of two blocks.
void write_small_llama(const std::string& path, const SmallLlama& shape);

}  // namespace windlass::test
