#include "src/base/error.h"

namespace windlass {

const char* error_code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUsage: return "usage";
    case ErrorCode::kBadFile: return "bad_file";
    case ErrorCode::kIo: return "io";
    case ErrorCode::kUnsupported: return "unsupported";
    case ErrorCode::kNoSpace: return "no_space";
    case ErrorCode::kDevice: return "device";
    case ErrorCode::kInterrupted: return "interrupted";
  }
  return "failure";
}

int error_exit_code(ErrorCode code) {
  if (code == ErrorCode::kUsage) return 2;
  if (code == ErrorCode::kInterrupted) return 130;
  return 1;
}

}  // namespace windlass
