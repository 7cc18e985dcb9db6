// safetensors: reading headers only, of one file or of all shards that an index names. Format:
// https://github.com/huggingface/safetensors: u64 n, n bytes of JSON {"name": {"dtype", "shape",
// "data_offsets": [begin, end]}, ...}, then the data, to whose start the offsets are relative.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/dtype.h"
#include "src/base/ids.h"
#include "src/format/read_at.h"
#include "src/format/tensor_table.h"

namespace windlass {

// A tensor as the file names it. Nothing promises that its extent is aligned.
struct SafetensorsTensor {
  std::string name;
  std::string_view type;            // of kSafetensorsTypes: "F32", "F8_E4M3", ...
  std::vector<std::int64_t> shape;  // slowest first; may hold zeros
  Extent extent;
};

// The element type of a matrix or vector that can be computed with; nothing for the others (F8,
// bools, complex numbers).
std::optional<DType> dtype_of_safetensors(std::string_view type);

// The files of one model and their tensors, in (file, offset) order.
struct SafetensorsModel {
  std::vector<ModelFile> files;
  std::vector<SafetensorsTensor> tensors;
  std::int64_t header_bytes = 0;  // read to build this
};

// Opens FOLDER/model.safetensors, or the shards of FOLDER/model.safetensors.index.json in the order
// of their names. Never maps or reads tensor data; every length, offset and count is checked before
// use, and memory stays within some 50 times the headers' bytes.
// Errors: Error(kIo) for a missing file (a shard is named with the index that wants it), Error(
// kBadFile) naming file and byte or tensor for anything malformed: a header longer than the file,
// JSON that is no header, extents that overlap or pass the end, sizes that contradict the shape, a
// name that is doubled or that the index puts elsewhere.
SafetensorsModel read_safetensors(const std::string& folder);

// The parser itself over any byte source, for the fuzzer and tests. Appends one file and its
// tensors to `model`, whose tensor names it does not compare.
void parse_safetensors(const ReadAt& read_at, const std::string& path, std::int64_t file_size,
                       SafetensorsModel& model);

// Which shard holds each tensor, as {name, file name} in the order of names. Error(kBadFile) for
// what is no index, and for a shard that is not a file of the same folder.
struct SafetensorsIndexEntry {
  std::string tensor, file;
};
std::vector<SafetensorsIndexEntry> parse_safetensors_index(std::string_view text,
                                                           const std::string& path);

}  // namespace windlass
