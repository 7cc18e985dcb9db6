#include "tools/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>

#include "src/base/error.h"
#include "src/format/output_file.h"
#include "tools/interrupt.h"

namespace windlass {
namespace {

// Closes what it opened; standard input stays open.
class InputFile {
 public:
  explicit InputFile(const std::string& path) : is_standard_(path == "-") {
    fd_ = is_standard_ ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) fail(ErrorCode::kIo, "cannot open {}: {}", path, std::strerror(errno));
  }
  ~InputFile() {
    if (!is_standard_) ::close(fd_);
  }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  int fd() const { return fd_; }

 private:
  bool is_standard_;
  int fd_;
};

}  // namespace

std::string read_text_file(const std::string& path) {
  const InputFile file(path);
  std::string text;
  char buffer[1 << 16];
  while (true) {
    const ssize_t got = ::read(file.fd(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) {
      throw_if_interrupted();
      continue;
    }
    if (got < 0) fail(ErrorCode::kIo, "cannot read {}: {}", path, std::strerror(errno));
    if (got == 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
  }
}

std::vector<std::int32_t> read_ids_file(const std::string& path) {
  const nlohmann::json array = nlohmann::json::parse(read_text_file(path), nullptr, false);
  if (!array.is_array()) fail(ErrorCode::kUsage, "{} is not a JSON array of token ids", path);
  std::vector<std::int32_t> ids;
  ids.reserve(array.size());
  for (const nlohmann::json& entry : array) {
    if (!entry.is_number_integer() || entry < 0 || entry > INT32_MAX) {
      fail(ErrorCode::kUsage, "{}: entry {} is not a token id: {}", path, ids.size(), entry.dump());
    }
    ids.push_back(entry.get<std::int32_t>());
  }
  return ids;
}

void write_file_atomically(const std::string& path, std::string_view text) {
  OutputFile file(path);
  file.write(std::as_bytes(std::span(text)));
  file.finish();
}

void print(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      fail(ErrorCode::kIo, "cannot write standard output: {}", std::strerror(errno));
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

bool read_line(std::string& line) {
  static std::string
      buffered;  // bytes read past the last line: standard input is one stream for the process
  line.clear();
  while (true) {
    if (const std::size_t end = buffered.find('\n'); end != std::string::npos) {
      line = buffered.substr(0, end);
      buffered.erase(0, end + 1);
      return true;
    }
    char buffer[4096];
    const ssize_t got = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR && !interrupted()) continue;
    if (got < 0 && !interrupted())
      fail(ErrorCode::kIo, "cannot read standard input: {}", std::strerror(errno));
    if (got <= 0) {
      std::swap(line, buffered);
      return !line.empty() && !interrupted();
    }
    buffered.append(buffer, static_cast<std::size_t>(got));
  }
}

}  // namespace windlass
