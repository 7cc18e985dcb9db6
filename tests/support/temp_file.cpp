#include "tests/support/temp_file.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "src/base/check.h"

namespace windlass {

TempFile::TempFile(std::int64_t size_bytes, const std::string& folder)
    : path_((folder.empty() ? std::filesystem::temp_directory_path().string() : folder) +
            "/windlass_test_XXXXXX"),
      bytes_(static_cast<std::size_t>(size_bytes)) {
  std::mt19937_64 random(static_cast<std::uint64_t>(size_bytes) + 1);
  for (std::byte& byte : bytes_) byte = static_cast<std::byte>(random());
  const int fd = mkstemp(path_.data());
  WINDLASS_CHECK(fd >= 0, path_);
  close(fd);
  std::ofstream file(path_, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes_.data()), size_bytes);
  file.flush();
  WINDLASS_CHECK(file.good(), path_);
}

TempFile::~TempFile() { unlink(path_.c_str()); }

void TempFile::truncate(std::int64_t size_bytes) const {
  WINDLASS_CHECK(::truncate(path_.c_str(), size_bytes) == 0, path_);
}

}  // namespace windlass
