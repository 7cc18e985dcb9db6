// --check-tensors: a weight that is not finite is found wherever it is, under any budget, and
// named.
#include <cstring>

#include "src/format/gguf.h"
#include "tests/end_to_end/program.h"
#include "tests/support/catch.h"

namespace windlass::test {
namespace {

struct Synthetic {
  explicit Synthetic(const std::string& type) : path(folder / (type + ".gguf")) {
    windlass_json({"synth",   path,      "--layers", "3",          "--embd", "256",        "--ffn",
                   "768",     "--heads", "4",        "--kv-heads", "2",      "--head-dim", "64",
                   "--vocab", "1000",    "--type",   type,         "--seed", "3"});
    write_ids(folder / "ids.json", {1, 2, 3});
  }

  // Overwrites bytes of a row, `at` bytes from its begin.
  void put(const std::string& tensor, std::int64_t row, std::int64_t at, const std::string& bytes) {
    const TensorTable table = read_gguf(path);
    for (const TensorInfo& info : table.tensors) {
      if (info.name != tensor) continue;
      std::string file = read_bytes(path);
      const std::int64_t offset = info.extent.offset_bytes + row * info.row_bytes() + at;
      file.replace(static_cast<std::size_t>(offset), bytes.size(), bytes);
      write_bytes(path, file);
      return;
    }
    FAIL(tensor << " is not in " << path);
  }

  Arguments command(const Arguments& flags) const {
    Arguments arguments = {"run", "-m", path, "--raw", "--ids", folder / "ids.json", "-n", "2"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return arguments;
  }
  ProcessResult check(Arguments flags) const {
    flags.emplace_back("--check-tensors");
    return windlass(command(flags));
  }

  Folder folder;
  std::string path;
};

const std::string kNanF16("\x01\x7e", 2), kInfinityF16("\x00\x7c", 2);
const std::string kInfinityF32("\x00\x00\x80\x7f", 4), kNanBf16("\xc0\xff", 2);

struct Planted {
  std::string type, tensor;
  std::int64_t row, at;
  std::string bytes, says;
};

}  // namespace

TEST_CASE("a weight or scale that is not finite is refused with tensor and row") {
  const std::vector<Planted> all = {
      {"f32", "blk.1.ffn_down.weight", 255, 767 * 4, kInfinityF32,
       "'blk.1.ffn_down.weight' row 255 (column 767 is inf; 1 bad row)"},
      {"f16", "blk.0.attn_k.weight", 0, 0, kNanF16, "'blk.0.attn_k.weight' row 0 (column 0 is"},
      {"bf16", "blk.2.attn_q.weight", 17, 200, kNanBf16,
       "'blk.2.attn_q.weight' row 17 (column 100 is"},
      {"q8_0", "token_embd.weight", 999, 34, kInfinityF16, "'token_embd.weight' row 999 (column "},
      {"q4_0", "blk.0.ffn_up.weight", 3, 18, kNanF16, "'blk.0.ffn_up.weight' row 3 (column 32 is"},
      {"q4_k", "blk.2.ffn_gate.weight", 700, 0, kNanF16,
       "'blk.2.ffn_gate.weight' row 700 (column 0"},
      {"q6_k", "blk.1.attn_v.weight", 5, 208, kInfinityF16, "'blk.1.attn_v.weight' row 5 (column"},
      {"q4_0", "blk.2.attn_norm.weight", 0, 8, kInfinityF32,
       "'blk.2.attn_norm.weight' row 0 (column 2 is inf"},
  };
  for (const Planted& planted : all) {
    INFO(planted.type << ' ' << planted.tensor);
    Synthetic model(planted.type);
    REQUIRE(model.check({}).exit_status == 0);
    model.put(planted.tensor, planted.row, planted.at, planted.bytes);
    for (const Arguments& flags : {Arguments{}, Arguments{"--ram", "5MiB"}}) {
      const ProcessResult result = model.check(flags);
      CHECK(result.exit_status == 1);
      CHECK_THAT(result.err, Contains(planted.says));
      CHECK_THAT(result.err, Contains(model.path));
      CHECK(result.out.empty());
    }
    CHECK_THAT(windlass(model.command({})).err, !Contains(planted.says));  // nobody asked
  }
}

TEST_CASE("several bad tensors are all named, up to five") {
  Synthetic model("q4_0");
  for (const std::string name : {"attn_q", "attn_k", "attn_v", "ffn_up", "ffn_gate", "ffn_down"}) {
    model.put("blk.1." + name + ".weight", 2, 0, kNanF16);
    model.put("blk.1." + name + ".weight", 7, 18, kNanF16);
  }
  const ProcessResult result = model.check({});
  CHECK(result.exit_status == 1);
  CHECK_THAT(result.err, Contains("row 2 (column 0 is nan; 2 bad rows)"));
  CHECK_THAT(result.err, Contains("and 1 tensors more"));
}

TEST_CASE("a model that passes the check gives the same tokens, and a note of what was read") {
  const Synthetic model("q4_k");
  const nlohmann::json plain = windlass_json(model.command({}));
  for (const Arguments& flags :
       {Arguments{"--check-tensors"}, Arguments{"--check-tensors", "--ram", "5MiB"}}) {
    const nlohmann::json checked = windlass_json(model.command(flags));
    CHECK(checked["ids"] == plain["ids"]);
    CHECK_THAT(checked["receipt"]["notes"].dump(), Contains("all weights are finite"));
  }
  CHECK(plain["receipt"]["notes"].dump().find("finite") == std::string::npos);
}

}  // namespace windlass::test
