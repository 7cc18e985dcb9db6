#include "src/base/output_target.h"

#include <sys/stat.h>

#include "src/base/error.h"

namespace windlass {

void check_output_target(const std::string& path, const std::string& input) {
  struct stat target {};
  if (::stat(path.c_str(), &target) != 0) return;  // not there yet
  if (!S_ISREG(target.st_mode)) {
    fail(ErrorCode::kUsage, "{}: is a {}, not a file that can be replaced; name a new file", path,
         S_ISDIR(target.st_mode) ? "folder" : "device or pipe");
  }
  struct stat source {};
  if (input.empty() || ::stat(input.c_str(), &source) != 0) return;
  if (source.st_dev == target.st_dev && source.st_ino == target.st_ino) {
    fail(ErrorCode::kUsage, "{}: is the model itself; name another file for the output", path);
  }
}

}  // namespace windlass
