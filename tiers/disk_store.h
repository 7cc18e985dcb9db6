// The disk tier: the model's files, opened for direct reads.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "src/base/ids.h"
#include "src/format/tensor_table.h"

namespace windlass {

struct DiskFile {
  std::string path;
  int fd = -1;
  std::int64_t size_bytes = 0;  // when the model was opened
  bool direct = false;
  std::string buffered_reason;  // why not direct; empty if direct
};

// Says why direct reads of an O_DIRECT descriptor do not work; empty if they do.
using DirectProbe = std::function<std::string(int fd)>;
// Reads 4 KiB for real: some file systems take O_DIRECT at open and refuse the read.
std::string probe_direct_read(int fd);

// Owns the descriptors. Immutable once built.
class DiskStore {
 public:
  // Opens each file O_DIRECT; where the file system or the probe refuses, buffered, with the reason
  // kept. Error(kIo) when a file cannot be opened, is no regular file, or its size differs from the
  // table's (it changed since its header was read).
  explicit DiskStore(const std::vector<ModelFile>& files,
                     const DirectProbe& probe = probe_direct_read);
  DiskStore(const DiskStore&) = delete;
  DiskStore& operator=(const DiskStore&) = delete;
  const DiskFile& file(FileId id) const { return files_[static_cast<std::size_t>(index_of(id))]; }
  const std::vector<DiskFile>& files() const { return files_; }

 private:
  struct Descriptor {
    explicit Descriptor(int descriptor) : fd(descriptor) {}
    Descriptor(Descriptor&& other) noexcept : fd(std::exchange(other.fd, -1)) {}
    Descriptor& operator=(Descriptor&&) = delete;
    ~Descriptor();
    int fd;
  };
  void open_file(const ModelFile& file, const DirectProbe& probe);

  std::vector<Descriptor> descriptors_;  // closed even when the constructor throws half way
  std::vector<DiskFile> files_;
};

}  // namespace windlass
