// GGUF v3 (and v2, which differs in nothing we read): reading by header only, and writing.
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Little-endian files only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "src/format/gguf_header_builder.h"
#include "src/format/read_at.h"
#include "src/format/tensor_table.h"

namespace windlass {

// Opens `path` and, for a split model (split.count > 1), its sibling shards `-00001-of-0000N.gguf`, in order.
// Reads headers through a small buffer; never maps or reads tensor data. Every length, offset, count and string is checked
// against the file's size and stated limits before use; memory stays within a few times the header's bytes.
// Errors: Error(kIo) for open/read failures, a directory, a special file; Error(kBadFile) with file and byte offset for
// anything malformed (0 bytes, wrong magic, truncation, overlap, tensor past the end, unknown type id, absurd count).
TensorTable read_gguf(const std::string& path);

// The parser itself over any byte source, for the fuzzer and tests. `read_at(offset, destination)` fills destination
// wholly or throws. Appends one file's tensors and metadata to `table`.
void parse_gguf(const ReadAt& read_at, const std::string& path, std::int64_t file_size, FileId file,
                TensorTable& table);

// Reads metadata arrays on demand (the tokenizer's lists). Error(kBadFile) when absent or of another element type.
std::vector<std::string> read_string_array(const TensorTable& table, const std::string& key);
std::vector<float> read_float_array(const TensorTable& table, const std::string& key);
std::vector<std::int32_t> read_int_array(const TensorTable& table, const std::string& key);
// Visits the strings of an array in order without keeping them all; the view lives during the call only.
void for_each_string(const TensorTable& table, const std::string& key,
                     const std::function<void(std::string_view)>& visit);

// Writes a GGUF v3 file: all metadata and tensor infos first, then tensor data in declaration order, streamed.
// The file appears under its name only when finish() succeeded (see OutputFile).
class GgufWriter : public GgufHeaderBuilder {
 public:
  explicit GgufWriter(const std::string& path, std::int64_t alignment_bytes = 32);
  ~GgufWriter();  // removes the partial file unless finish() succeeded
  GgufWriter(const GgufWriter&) = delete;
  GgufWriter& operator=(const GgufWriter&) = delete;

  // Call once, after all add_*; then write each tensor's bytes in order, in any pieces.
  void begin_data();
  void write_data(std::span<const std::byte> bytes);
  // Leaves a hole of the right size instead of the data not yet written (synth --header-only).
  void skip_data();
  // Checks that all data came, syncs, renames. Returns the file's size in bytes.
  std::int64_t finish();

 private:
  void finish_tensor();

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace windlass
