// Conversion of a model's weights to another type, into a new GGUF file: streamed, in parallel, and
// resumable.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/engine.h"
#include "src/format/tensor_table.h"
#include "src/quant/type_choice.h"

namespace windlass {

struct ConvertOptions {
  std::string output;
  ConvertTypes types;
  int threads = 1;
  std::int64_t memory_bytes = 0;  // for the header and the buffers
};

struct ConvertReport {
  std::int64_t size_bytes = 0;      // of the file
  std::int64_t resumed_bytes = 0;   // of these, what an earlier run had left and was still whole
  std::vector<TypeChoice> choices;  // of each tensor of the source
};

// Writes the file. Rows are read from the source's files in order and written in order; an
// interrupted run (an Error, Ctrl-C, SIGKILL) leaves OUTPUT.partial, and the same call later goes
// on from what of it is whole, giving the same bytes. progress counts bytes written, as "write".
// Errors: kUnsupported for a tensor that is quantised already (named), kNoSpace when memory_bytes
// does not do (names what would) or the disk lacks space, kBadFile for a weight that the type
// cannot hold (NaN, infinite, or beyond f16's 65504).
ConvertReport convert_model(const TensorTable& source, const ConvertOptions& options,
                            const Progress& progress);

}  // namespace windlass
