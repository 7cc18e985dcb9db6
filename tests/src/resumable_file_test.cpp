#include "src/base/resumable_file.h"

#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "src/base/checksum.h"
#include "src/base/error.h"
#include "tests/support/catch.h"
#include "tests/support/tiny_model.h"

namespace windlass::testing {
namespace {

constexpr std::uint64_t kIdentity = 0x1234;

std::vector<std::byte> piece(int number, std::size_t size) {
  std::vector<std::byte> bytes(size);
  std::mt19937 random(static_cast<std::uint32_t>(number));
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random() & 255u);
  return bytes;
}

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string as_text(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Leaves pieces 0 .. n - 1 of 1000 bytes behind, as a killed writer does.
void leave(const std::string& path, int n, std::uint64_t identity = kIdentity) {
  ResumableFile file(path, identity);
  for (int i = 0; i < n; ++i) file.append(piece(i, 1000));
}

void flip_byte(const std::string& path, std::int64_t offset) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(offset);
  const char byte = static_cast<char>(file.get() ^ 1);
  file.seekp(offset);
  file.put(byte);
}

}  // namespace

TEST_CASE("a file of which nothing was written leaves nothing behind") {
  const TempDir folder;
  leave(folder.file("out"), 0);
  CHECK(std::filesystem::is_empty(folder.file(".")));
}

TEST_CASE("an unfinished file is gone on from where its writer left") {
  const TempDir folder;
  const std::string path = folder.file("out");
  leave(path, 3);
  CHECK_FALSE(std::filesystem::exists(path));
  {
    ResumableFile file(path, kIdentity);
    CHECK(file.size_bytes() == 3000);
    file.append(piece(3, 1000));
  }
  ResumableFile file(path, kIdentity);
  CHECK(file.size_bytes() == 4000);
  file.append(piece(4, 3 << 20));  // more than the reading buffer
  file.finish();
  std::string expected;
  for (int i = 0; i < 4; ++i) expected += as_text(piece(i, 1000));
  CHECK(content(path) == expected + as_text(piece(4, 3 << 20)));
  CHECK(std::distance(std::filesystem::directory_iterator(folder.file("")), {}) == 1);
}

TEST_CASE("somebody else's file of the partial's name is refused and stays") {
  const TempDir folder;
  const std::string path = folder.file("out");
  std::ofstream(path + ".partial") << "precious";
  CHECK_THROWS_WITH(ResumableFile(path, kIdentity), Contains("move it away"));
  CHECK(content(path + ".partial") == "precious");
  CHECK_FALSE(std::filesystem::exists(path + ".partial.journal"));
  std::ofstream(path + ".partial.journal") << "notes";
  CHECK_THROWS_WITH(ResumableFile(path, kIdentity), Contains(".journal"));
  CHECK(content(path + ".partial.journal") == "notes");
}

TEST_CASE("a large piece is checked as a whole") {
  const TempDir folder;
  const std::string path = folder.file("out");
  { ResumableFile(path, kIdentity).append(piece(1, (2 << 20) + 77)); }
  CHECK(ResumableFile(path, kIdentity).size_bytes() == (2 << 20) + 77);
  flip_byte(path + ".partial", (2 << 20) + 5);
  CHECK(ResumableFile(path, kIdentity).size_bytes() == 0);
}

TEST_CASE("what follows the first damaged piece is written again") {
  const TempDir folder;
  const std::string path = folder.file("out");
  leave(path, 4);
  SECTION("a changed byte") { flip_byte(path + ".partial", 2500); }
  SECTION("a file cut short") { std::filesystem::resize_file(path + ".partial", 2999); }
  SECTION("a record cut short") {
    const std::string journal = content(path + ".partial.journal");
    std::ofstream(path + ".partial.journal", std::ios::binary)
        << journal.substr(0, journal.find("\n3000 ") - 3);
  }
  ResumableFile file(path, kIdentity);
  CHECK(file.size_bytes() == 2000);
  CHECK(std::filesystem::file_size(path + ".partial") == 2000);
}

TEST_CASE("bytes without a record are written again") {
  const TempDir folder;
  const std::string path = folder.file("out");
  leave(path, 2);
  std::ofstream(path + ".partial", std::ios::app) << "half a piece";
  CHECK(ResumableFile(path, kIdentity).size_bytes() == 2000);
}

TEST_CASE("the partial file of something else is not gone on from") {
  const TempDir folder;
  leave(folder.file("out"), 2, 77);
  CHECK(ResumableFile(folder.file("out"), kIdentity).size_bytes() == 0);
}

TEST_CASE("two writers of one file do not meet") {
  const TempDir folder;
  const ResumableFile first(folder.file("out"), kIdentity);
  try {
    const ResumableFile second(folder.file("out"), kIdentity);
    FAIL("both write");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kUsage);
    CHECK_THAT(error.what(), Contains("another process is writing it"));
  }
}

TEST_CASE("a checksum sees every byte, the length and the order") {
  const std::vector<std::byte> bytes = piece(9, 133);
  const std::uint64_t sum = checksum64(bytes);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    auto changed = bytes;
    changed[i] ^= std::byte{0x80};
    CHECK(checksum64(changed) != sum);
  }
  auto longer = bytes;
  longer.push_back(std::byte{0});
  CHECK(checksum64(longer) != sum);
  auto swapped = bytes;
  std::swap_ranges(swapped.begin(), swapped.begin() + 8, swapped.begin() + 8);
  CHECK(checksum64(swapped) != sum);
  CHECK(checksum64(bytes, 1) != sum);
}

}  // namespace windlass::testing
