// The front of a GGUF file, shared by the parser and by the writer's copy_metadata: fixed header
// and one metadata entry.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "src/format/header_cursor.h"
#include "src/format/tensor_table.h"

namespace windlass::gguf {

// Stated limits. A file may hold no more than its size allows, and no more than these:
inline constexpr std::int64_t kMaxTensors = 1 << 20;  // the largest published models have some 10^5
inline constexpr std::int64_t kMaxMetadata = 1 << 16;  // some tens in practice
inline constexpr std::int64_t kMaxKeyBytes = 65535;    // the format's own limit
inline constexpr std::int64_t kMaxNameBytes = 1024;    // ggml itself stops at 64
inline constexpr std::int64_t kMaxStringBytes =
    64 << 20;  // some files embed a whole tokenizer.json, above 10 MB

struct FixedHeader {
  std::uint32_t version = 0;
  std::int64_t n_tensors = 0;
  std::int64_t n_metadata = 0;
};

// Checks magic and version, and both counts against the limits and the bytes that are left.
FixedHeader read_fixed_header(HeaderCursor& cursor);

// One key and its value. Arrays are passed over; `value` says where they lie.
struct MetadataEntry {
  std::string key;
  std::int64_t key_offset = 0;
  std::int64_t type_offset = 0;  // of the value's type id; the value follows, up to the cursor
  std::variant<MetadataValue, ArrayInfo> value;
};
MetadataEntry read_metadata_entry(HeaderCursor& cursor, FileId file);

}  // namespace windlass::gguf
