#include "tiers/disk_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "src/base/error.h"
#include "tests/support/catch.h"
#include "tests/support/temp_file.h"

using namespace windlass;

TEST_CASE("a file is read directly, or the reason why not is kept") {
  for (const std::int64_t size : {1, 4095, 4096, 100'000}) {
    const TempFile file(size);
    const DiskStore store({file.as_model_file()});
    const DiskFile& opened = store.file(FileId{0});
    CHECK(opened.path == file.path());
    CHECK(opened.size_bytes == size);
    CHECK(opened.direct == opened.buffered_reason.empty());
    CHECK(opened.direct == ((fcntl(opened.fd, F_GETFL) & O_DIRECT) != 0));
  }
}

TEST_CASE("where the probe refuses, the file is read buffered and says why") {
  const TempFile file(10'000);
  const DiskStore store({file.as_model_file()},
                        [](int) { return std::string("no direct reads today"); });
  const DiskFile& opened = store.file(FileId{0});
  CHECK_FALSE(opened.direct);
  CHECK(opened.buffered_reason == "no direct reads today");
  std::array<std::byte, 100> bytes;
  REQUIRE(pread(opened.fd, bytes.data(), bytes.size(), 777) == 100);  // unaligned: not O_DIRECT
  CHECK(std::equal(bytes.begin(), bytes.end(), file.bytes().begin() + 777));
}

TEST_CASE("the probe tells a descriptor that cannot be read from one that can") {
  const TempFile file(5000);
  const int fd = open(file.path().c_str(), O_WRONLY | O_CLOEXEC);
  CHECK_THAT(probe_direct_read(fd), Contains("a direct read of 4 KiB fails"));
  close(fd);
  const int readable = open(file.path().c_str(), O_RDONLY | O_CLOEXEC);
  CHECK(probe_direct_read(readable).empty());
  close(readable);
}

TEST_CASE("a file that is missing, no file or of another size is an error that names it") {
  const TempFile file(5000);
  const std::string folder = std::filesystem::temp_directory_path().string();
  CHECK_THROWS_WITH(DiskStore({{file.path() + ".no", 1}}),
                    Contains(".no") && Contains("No such file"));
  CHECK_THROWS_WITH(DiskStore({{folder, 4096}}), Contains("is not a regular file"));
  CHECK_THROWS_WITH(DiskStore({file.as_model_file(), {file.path(), 4999}}),
                    Contains(file.path()) && Contains("4999") && Contains("5000"));
}

TEST_CASE("descriptors are closed with the store, and when it cannot be built") {
  const TempFile file(5000);
  const auto open_files = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  const auto before = open_files();
  {
    const DiskStore store({file.as_model_file(), file.as_model_file()});
    CHECK(open_files() == before + 2);
  }
  CHECK_THROWS_AS(DiskStore({file.as_model_file(), {file.path(), 1}}), Error);
  CHECK(open_files() == before);
}
