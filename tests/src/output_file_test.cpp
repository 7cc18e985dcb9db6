// Result files: whole or not there, whatever lies in their way.
#include "src/base/output_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "src/base/error.h"
#include "tests/support/catch.h"
#include "tests/support/tiny_model.h"

namespace windlass {
namespace {

namespace fs = std::filesystem;
using windlass::testing::read_file;
using windlass::testing::TempDir;
using windlass::testing::write_file;

std::size_t n_files(const TempDir& folder) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(folder.file("")), fs::directory_iterator()));
}

void write_text(OutputFile& file, std::string_view text) {
  file.write(std::as_bytes(std::span(text)));
}

ErrorCode code_of(const std::string& path) {
  try {
    OutputFile file(path);
  } catch (const Error& error) {
    CHECK_THAT(error.what(), Contains(path));
    return error.code();
  }
  FAIL(path << " was taken");
  return ErrorCode::kIo;
}

mode_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

// The process's umask while it lives.
struct Umask {
  explicit Umask(mode_t mask) : before(::umask(mask)) {}
  ~Umask() { ::umask(before); }
  Umask(const Umask&) = delete;
  Umask& operator=(const Umask&) = delete;
  mode_t before;
};

TEST_CASE("a result appears when it is finished, and an unfinished one leaves nothing") {
  const TempDir folder;
  const std::string path = folder.file("out");
  {
    OutputFile file(path);
    write_text(file, "never");
    CHECK(n_files(folder) == 1);
  }
  CHECK(n_files(folder) == 0);
  OutputFile file(path);
  write_text(file, "whole");
  CHECK_FALSE(fs::exists(path));
  CHECK(file.finish() == 5);
  CHECK(read_file(path) == "whole");
  CHECK(n_files(folder) == 1);
}

TEST_CASE("a user's file called .partial is not touched, and two writers do not meet") {
  const TempDir folder;
  const std::string path = folder.file("out");
  write_file(path + ".partial", "mine");
  OutputFile first(path), second(path);
  write_text(first, "first");
  write_text(second, "second");
  first.finish();
  CHECK(read_file(path) == "first");
  second.finish();
  CHECK(read_file(path) == "second");
  CHECK(read_file(path + ".partial") == "mine");
  CHECK(n_files(folder) == 2);
}

TEST_CASE("the partial file lies beside its target and says whose it is") {
  const TempDir folder;
  const OutputFile file(folder.file("out.npy"));
  const std::string name = fs::directory_iterator(folder.file(""))->path().filename();
  CHECK(name.starts_with("out.npy."));
  CHECK(name.ends_with(".partial"));
}

TEST_CASE("writing through a symbolic link keeps the link and fills its target") {
  const TempDir folder;
  fs::create_directory(folder.file("far"));
  const std::string link = folder.file("link"), target = folder.file("far/target");
  fs::create_symlink("far/middle", link);
  fs::create_symlink("target", folder.file("far/middle"));
  for (const char* text : {"new", "again"}) {  // through a dangling link, then over a file
    write_whole_file(link, text);
    CHECK(fs::is_symlink(link));
    CHECK(fs::is_symlink(folder.file("far/middle")));
    CHECK(read_file(target) == text);
  }
  fs::create_symlink(target, folder.file("absolute"));
  write_whole_file(folder.file("absolute"), "absolute");
  CHECK(read_file(target) == "absolute");
  fs::create_symlink("circle", folder.file("circle"));
  CHECK(code_of(folder.file("circle")) == ErrorCode::kIo);
}

TEST_CASE("a replaced file keeps its permissions and its owner; a new one follows the umask") {
  const TempDir folder;
  const Umask mask(027);
  write_whole_file(folder.file("new"), "x");
  CHECK(mode_of(folder.file("new")) == 0640);
  for (const mode_t mode : {0600U, 0666U, 0705U}) {
    const std::string path = folder.file(std::to_string(mode));
    write_file(path, "before");
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    const bool given = ::chown(path.c_str(), 12345, 12345) == 0;  // as root only
    write_whole_file(path, "after");
    CHECK(read_file(path) == "after");
    CHECK(mode_of(path) == mode);
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK(status.st_uid == (given ? 12345 : ::geteuid()));
  }
}

TEST_CASE("a partial file is never more readable than what it replaces") {
  const TempDir folder;
  const Umask mask(0);
  const std::string path = folder.file("secret");
  write_file(path, "before");
  REQUIRE(::chmod(path.c_str(), 0600) == 0);
  const OutputFile file(path);
  for (const auto& entry : fs::directory_iterator(folder.file(""))) {
    CHECK(mode_of(entry.path().string()) == 0600);
  }
}

TEST_CASE("devices, folders and places that do not exist are refused at once") {
  const TempDir folder;
  fs::create_directory(folder.file("sub"));
  fs::create_symlink("sub", folder.file("to_sub"));
  CHECK(code_of("/dev/null") == ErrorCode::kUsage);
  CHECK(code_of(folder.file("sub")) == ErrorCode::kUsage);
  CHECK(code_of(folder.file("to_sub")) == ErrorCode::kUsage);
  CHECK(code_of(folder.file("sub/")) == ErrorCode::kUsage);
  CHECK(code_of(folder.file("new/")) == ErrorCode::kUsage);
  CHECK(code_of(folder.file("absent/out")) == ErrorCode::kIo);
  CHECK(code_of(folder.file("sub/" + std::string(300, 'n'))) == ErrorCode::kIo);
  CHECK_NOTHROW(probe_output(folder.file("sub/" + std::string(255, 'n'))));
  CHECK(fs::is_empty(folder.file("sub")));
}

TEST_CASE("tiles may be written in any order, and many of them come out as they went in") {
  const TempDir folder;
  const std::string path = folder.file("tiles");
  constexpr std::int64_t kTile = 70000, kTiles = 400;  // 28 MB: write-back starts on the way
  OutputFile file(path);
  std::string tile(kTile, ' ');
  for (std::int64_t i = 0; i < kTiles; ++i) {
    const std::int64_t place = i * 7 % kTiles;
    tile.assign(kTile, static_cast<char>('a' + place % 26));
    file.write_at(place * kTile, std::as_bytes(std::span(tile)));
  }
  CHECK(file.finish() == kTile * kTiles);
  const std::string bytes = read_file(path);
  REQUIRE(bytes.size() == static_cast<std::size_t>(kTile * kTiles));
  for (std::int64_t place = 0; place < kTiles; ++place) {
    const auto at = static_cast<std::size_t>(place * kTile);
    tile.assign(kTile, static_cast<char>('a' + place % 26));
    if (bytes.compare(at, tile.size(), tile) != 0) FAIL("tile " << place);
  }
}

TEST_CASE("two names mean the same file when their links and folders do") {
  const TempDir folder;
  fs::create_directory(folder.file("sub"));
  write_file(folder.file("a"), "x");
  write_file(folder.file("b"), "x");
  fs::create_hard_link(folder.file("a"), folder.file("hard"));
  fs::create_symlink("a", folder.file("soft"));
  fs::create_symlink("sub/new", folder.file("dangling"));
  CHECK(is_same_file(folder.file("a"), folder.file("sub/../a")));
  CHECK(is_same_file(folder.file("a"), folder.file("hard")));
  CHECK(is_same_file(folder.file("soft"), folder.file("a")));
  CHECK(is_same_file(folder.file("dangling"), folder.file("sub/./new")));
  CHECK_FALSE(is_same_file(folder.file("a"), folder.file("b")));
  CHECK_FALSE(is_same_file(folder.file("sub/new"), folder.file("sub/other")));
  CHECK_FALSE(is_same_file(folder.file("absent/x"), folder.file("absent/x")));
}

}  // namespace
}  // namespace windlass
