#include "tools/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "src/base/error.h"
#include "src/base/units.h"
#include "src/text/utf8.h"
#include "tools/interrupt.h"

namespace windlass {
namespace {

// Closes what it opened; standard input stays open.
class InputFile {
 public:
  explicit InputFile(const std::string& path)
      : name_(path == "-" ? "standard input" : path), is_standard_(path == "-") {
    fd_ = is_standard_ ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) fail(ErrorCode::kIo, "cannot open {}: {}", path, std::strerror(errno));
  }
  ~InputFile() {
    if (!is_standard_) ::close(fd_);
  }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  const std::string& name() const { return name_; }
  // The next piece, valid until the next call; empty at the end. Ctrl-C ends it with an Error.
  std::string_view read() {
    while (true) {
      const ssize_t got = ::read(fd_, buffer_.data(), buffer_.size());
      if (got >= 0) return {buffer_.data(), static_cast<std::size_t>(got)};
      if (errno != EINTR) fail(ErrorCode::kIo, "cannot read {}: {}", name_, std::strerror(errno));
      throw_if_interrupted();
    }
  }

 private:
  std::string name_;
  bool is_standard_;
  int fd_;
  std::array<char, 1 << 16> buffer_;
};

void require_within(const TextLimit& limit, const std::string& text, const std::string& name) {
  if (std::ssize(text) <= limit.bytes) return;
  fail(ErrorCode::kNoSpace, "{} is longer than {}, {}", name, format_size(limit.bytes),
       limit.reason);
}

}  // namespace

void require_utf8(std::string_view text, const std::string& name) {
  const std::size_t valid = valid_utf8_bytes(text);
  if (valid == text.size()) return;
  fail(ErrorCode::kUsage,
       "{}: byte {} (0x{:02x}) is not UTF-8; give the text in UTF-8 (iconv converts other "
       "encodings)",
       name, valid, static_cast<unsigned char>(text[valid]));
}

std::string read_text_file(const std::string& path, const TextLimit& limit) {
  InputFile file(path);
  std::string text;
  for (std::string_view piece = file.read(); !piece.empty(); piece = file.read()) {
    text.append(piece);
    require_within(limit, text, file.name());
  }
  require_utf8(text, file.name());
  return text;
}

std::vector<std::int32_t> read_ids_file(const std::string& path, const TextLimit& limit) {
  const nlohmann::json array = nlohmann::json::parse(read_text_file(path, limit), nullptr, false);
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

bool read_line(std::string& line, const TextLimit& limit) {
  static std::string
      buffered;  // bytes read past the last line: standard input is one stream for the process
  std::size_t searched = 0;
  while (true) {
    if (const std::size_t end = buffered.find('\n', searched); end != std::string::npos) {
      line.assign(buffered, 0, end);
      buffered.erase(0, end + 1);
      return true;
    }
    searched = buffered.size();
    std::array<char, 4096> buffer;
    const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR && !interrupted()) continue;
    if (got < 0 && !interrupted())
      fail(ErrorCode::kIo, "cannot read standard input: {}", std::strerror(errno));
    if (got <= 0) {
      line = std::exchange(buffered, std::string());
      return !line.empty() && !interrupted();
    }
    buffered.append(buffer.data(), static_cast<std::size_t>(got));
    require_within(limit, buffered, "a line of standard input");
  }
}

}  // namespace windlass
