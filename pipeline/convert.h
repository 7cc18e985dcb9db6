// Conversion of a model, GGUF or Hugging Face folder, into a new GGUF file with weights of another
// type: streamed, in parallel, and resumable.
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

struct ConvertedTensor {
  std::string name;
  std::int64_t row_weights = 0;
  TypeChoice choice;
};

struct ConvertReport {
  std::int64_t size_bytes = 0;     // of the file
  std::int64_t resumed_bytes = 0;  // of these, what an earlier run had left and was still whole
  std::vector<ConvertedTensor> tensors;
  std::vector<std::string> notes;  // what of the source has no place in a GGUF
};

// Writes the file. Of a GGUF names and metadata are copied; a Hugging Face folder becomes the GGUF
// that llama.cpp's converter makes of it: gguf_layout.h's tensors, gguf_settings.h's and
// gguf_vocabulary.h's metadata. Rows are read and written in order, a piece at a time; an
// interrupted run (an Error, Ctrl-C, SIGKILL) leaves OUTPUT.partial, and the same call later goes
// on from what of it is whole, giving the same bytes. progress counts bytes written, as "write".
// Errors: kUnsupported for a tensor that is quantised already (named), kNoSpace when memory_bytes
// does not do (names what would) or the disk lacks space, kBadFile for a weight that the type
// cannot hold (NaN, infinite, or beyond f16's 65504); of a folder also as the functions named.
ConvertReport convert_model(const TensorTable& source, const ConvertOptions& options,
                            const Progress& progress);

}  // namespace windlass
