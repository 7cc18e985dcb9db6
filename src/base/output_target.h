// Where a result may be written: results appear by renaming a finished file over their name, and
// that must never hit a device, a pipe or a folder, nor break a symbolic link.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace windlass {

struct OutputTarget {
  std::string path;     // what to rename onto: symbolic links are followed, also dangling ones
  bool exists = false;  // then its owner and permissions are to be kept:
  mode_t mode = 0;
  uid_t owner = 0;
  gid_t group = 0;
};

// Error(kUsage) when `path` exists and is no regular file; Error(kIo) when it must not be written
// to or its links lead nowhere.
OutputTarget resolve_output(const std::string& path);

// True when both names mean one file, also one that is not there yet. A name that leads nowhere is
// no file. "-" is not special.
bool is_same_file(const std::string& a, const std::string& b);

// Error(kNoSpace) when the file system that `path` will be on has less than this free; where the
// system does not tell, writing will.
void require_disk_space(const std::string& path, std::int64_t missing_bytes);

}  // namespace windlass
