// A file of known random bytes in the temporary folder, removed at the end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "src/format/tensor_table.h"

namespace windlass {

class TempFile {
 public:
  // In `folder` if given, else in the system's temporary folder.
  explicit TempFile(std::int64_t size_bytes, const std::string& folder = "");
  ~TempFile();
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  const std::string& path() const { return path_; }
  const std::vector<std::byte>& bytes() const { return bytes_; }
  ModelFile as_model_file() const { return {path_, std::ssize(bytes_)}; }
  void truncate(std::int64_t size_bytes) const;

 private:
  std::string path_;
  std::vector<std::byte> bytes_;
};

}  // namespace windlass
