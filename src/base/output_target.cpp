#include "src/base/output_target.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

#include "src/base/error.h"
#include "src/base/units.h"

namespace windlass {
namespace {

namespace fs = std::filesystem;

constexpr int kMostLinks = 40;  // as the kernel follows

// The name at the end of a chain of symbolic links, whether or not a file is there.
fs::path follow_links(fs::path path) {
  for (int i = 0; i < kMostLinks; ++i) {
    std::error_code error;
    const fs::path target = fs::read_symlink(path, error);
    if (error) return path;              // no link
    path = path.parent_path() / target;  // an absolute target replaces the folder
  }
  return path;
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

// A file by its inode; one that is not there yet by its folder's inode and its name.
struct Identity {
  dev_t device = 0;
  ino_t inode = 0;
  std::string name;
  bool operator==(const Identity&) const = default;
};

std::optional<Identity> identity_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) return Identity{status.st_dev, status.st_ino, ""};
  const fs::path end = follow_links(path);
  if (::stat(folder_of(end).c_str(), &status) != 0) return std::nullopt;
  return Identity{status.st_dev, status.st_ino, end.filename().string()};
}

}  // namespace

OutputTarget resolve_output(const std::string& path) {
  OutputTarget target;
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) {
    if (!S_ISREG(status.st_mode)) {
      fail(ErrorCode::kUsage, "{}: is a {}, not a file that can be replaced; name a new file", path,
           S_ISDIR(status.st_mode) ? "folder" : "device or pipe");
    }
    // Renaming needs no right to write to what is replaced; whoever took that right away meant it.
    if (::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) != 0) {
      fail(ErrorCode::kIo, "{}: cannot be written: {}; name another file", path,
           std::strerror(errno));
    }
    target.exists = true;
    target.mode = status.st_mode & 07777;
    target.owner = status.st_uid;
    target.group = status.st_gid;
  } else if (errno != ENOENT) {
    fail(ErrorCode::kIo, "{}: cannot be written: {}; name another file", path,
         std::strerror(errno));
  }
  const fs::path end = follow_links(path);
  if (!end.has_filename())
    fail(ErrorCode::kUsage, "{}: is the name of a folder; name a file", path);
  target.path = end.string();
  return target;
}

bool is_same_file(const std::string& a, const std::string& b) {
  const auto identity = identity_of(a);
  return identity && identity == identity_of(b);
}

void require_disk_space(const std::string& path, std::int64_t missing_bytes) {
  fs::path folder = fs::path(path).parent_path();
  if (folder.empty()) folder = ".";
  struct statvfs status {};
  if (::statvfs(folder.c_str(), &status) != 0) return;  // then writing says what is wrong
  const auto free_bytes = static_cast<std::int64_t>(status.f_bavail * status.f_frsize);
  if (free_bytes >= missing_bytes) return;
  fail(ErrorCode::kNoSpace, "{}: {} are still to be written, the file system has {} free", path,
       format_size(missing_bytes), format_size(free_bytes));
}

}  // namespace windlass
