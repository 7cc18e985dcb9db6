// How the end-to-end tests run windlass: the binary of this build, the golden files, and what they
// compare.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/process.h"

namespace windlass::test {

using Arguments = std::vector<std::string>;

std::string golden(const std::string& path);
// A golden model's GGUF: "llama", "llama3_rope", "llama_quants/Q8_0".
std::string golden_model(const std::string& name);

// A fresh folder, removed at the end.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  const std::filesystem::path& path() const { return path_; }
  bool empty() const { return std::filesystem::is_empty(path_); }
  std::int64_t n_files() const;

 private:
  std::filesystem::path path_;
};

std::string read_bytes(const std::string& path);
void write_bytes(const std::string& path, const std::string& bytes);
void write_ids(const std::string& path, const std::vector<std::int32_t>& ids);

// Runs the program. No machine is measured: commands that take --profile get the golden one unless
// argv names one.
ProcessResult windlass(const Arguments& arguments, const ProcessOptions& options = {});
// As above with --json; REQUIREs success and returns what it printed.
nlohmann::json windlass_json(Arguments arguments, const ProcessOptions& options = {});

// What `logits` writes for these flags, as raw bytes after the 4 KiB header.
std::string logits_bytes(const std::string& model, const std::string& ids_path, Arguments flags,
                         const ProcessOptions& options = {});
std::vector<float> as_floats(const std::string& bytes);

struct Difference {
  double max = 0, mean = 0;
};
Difference difference(const std::vector<float>& a, const std::vector<float>& b);

// "2", as far as this machine has so many CPUs.
std::string two_threads();

// Names of the instruction sets that this machine has.
std::vector<std::string> present_isas();

}  // namespace windlass::test
