// Conversion in process: the same bytes whatever the budget, the threads and the interruptions.
#include "pipeline/convert.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <string>

#include "src/base/error.h"
#include "src/base/half.h"
#include "src/format/gguf.h"
#include "src/model/gguf_layout.h"
#include "src/model/hf_folder.h"
#include "src/model/model.h"
#include "tests/support/catch.h"
#include "tests/support/reference_ops.h"
#include "tests/support/tiny_folder.h"
#include "tests/support/tiny_model.h"

namespace windlass {
namespace {

using testing::read_file;
using testing::TempDir;

// Two matrices (of 512 and of 96 columns), an embedding that is the output too, a norm and a bias.
void write_source(const std::string& path, DType type, float bad = 0) {
  GgufWriter writer(path);
  writer.add_metadata("general.architecture", std::string("llama"));
  writer.add_metadata_u32("general.file_type", 0);
  writer.add_metadata_u32("split.count", 1);
  writer.add_int_array("some.array", {1, 2, 3});
  writer.add_tensor("token_embd.weight", type, {40, 512});
  writer.add_tensor("blk.0.attn_norm.weight", DType::kF32, {512});
  writer.add_tensor("blk.0.attn_q.weight", type, {300, 512});
  writer.add_tensor("blk.0.attn_q.bias", DType::kF32, {300});
  writer.add_tensor("blk.0.ffn_down.weight", type, {70, 96});
  writer.begin_data();
  std::uint32_t state = 1;
  const auto put = [&](std::int64_t n, DType as) {
    for (std::int64_t i = 0; i < n; ++i) {
      state = state * 1664525u + 1013904223u;
      float value = static_cast<float>(static_cast<std::int32_t>(state)) * 0x1p-32f;
      if (bad != 0 && i == 512 * 7 + 3) value = bad;
      const std::uint16_t bits = as == DType::kF16 ? f16_from_f32(value) : bf16_from_f32(value);
      if (as == DType::kF32) {
        writer.write_data(std::as_bytes(std::span(&value, 1)));
      } else {
        writer.write_data(std::as_bytes(std::span(&bits, 1)));
      }
    }
  };
  put(40 * 512, type);
  put(512, DType::kF32);
  put(300 * 512, type);
  put(300, DType::kF32);
  put(70 * 96, type);
  writer.finish();
}

ConvertOptions options_for(const std::string& output, DType type) {
  ConvertOptions options;
  options.output = output;
  options.types = {type, default_output_type(type)};
  options.threads = 2;
  options.memory_bytes = 64 << 20;
  return options;
}

const Progress kQuiet = [](std::int64_t, std::int64_t, const char*) {};

DType type_of(const TensorTable& table, const char* name) {
  return table.at(table.find(name)).type;
}

}  // namespace

TEST_CASE("a converted file has the types that were asked for, and the source's metadata") {
  const TempDir folder;
  write_source(folder.file("in"), DType::kF32);
  convert_model(read_gguf(folder.file("in")), options_for(folder.file("out"), DType::kQ4_K),
                kQuiet);
  const TensorTable table = read_gguf(folder.file("out"));
  CHECK(type_of(table, "blk.0.attn_q.weight") == DType::kQ4_K);
  CHECK(type_of(table, "token_embd.weight") == DType::kQ6_K);      // serves as output
  CHECK(type_of(table, "blk.0.ffn_down.weight") == DType::kQ5_0);  // 256 does not divide 96
  CHECK(type_of(table, "blk.0.attn_norm.weight") == DType::kF32);
  CHECK(type_of(table, "blk.0.attn_q.bias") == DType::kF32);
  CHECK(*table.find_string("general.architecture") == "llama");
  CHECK(table.require_int("general.file_type", 0, 99) == 14);
  CHECK(read_int_array(table, "some.array") == std::vector<std::int32_t>{1, 2, 3});
  CHECK_FALSE(table.metadata.contains("split.count"));
}

TEST_CASE("converted weights are near the source's") {
  const TempDir folder;
  for (const DType from : {DType::kF32, DType::kF16, DType::kBF16}) {
    write_source(folder.file("in"), from);
    const TensorTable source = read_gguf(folder.file("in"));
    convert_model(source, options_for(folder.file("out"), DType::kQ8_0), kQuiet);
    const TensorTable table = read_gguf(folder.file("out"));
    const std::string before = read_file(folder.file("in")), after = read_file(folder.file("out"));
    for (const TensorInfo& tensor : source.tensors) {
      const TensorInfo& target = table.at(table.find(tensor.name));
      const auto weights = [](const TensorInfo& of, const std::string& file, std::int64_t row) {
        const auto* data = reinterpret_cast<const std::byte*>(file.data()) + of.extent.offset_bytes;
        return test::reference_dequantize(of.type, data + row * of.row_bytes(), of.n_cols());
      };
      for (std::int64_t row = 0; row < tensor.n_rows(); row += 7) {
        const auto a = weights(tensor, before, row), b = weights(target, after, row);
        INFO(tensor.name << " row " << row);
        for (std::size_t i = 0; i < a.size(); ++i) REQUIRE(std::abs(a[i] - b[i]) < 0.006f);
      }
    }
  }
}

TEST_CASE("neither memory nor threads change what is written") {
  const TempDir folder;
  write_source(folder.file("in"), DType::kBF16);
  const TensorTable source = read_gguf(folder.file("in"));
  ConvertOptions options = options_for(folder.file("a"), DType::kQ3_K);
  convert_model(source, options, kQuiet);
  options.output = folder.file("b");
  options.memory_bytes = (1 << 20) + 6000;  // a few rows at a time
  options.threads = 1;
  convert_model(source, options, kQuiet);
  CHECK(read_file(folder.file("a")) == read_file(folder.file("b")));
  options.memory_bytes = 1 << 20;
  CHECK_THROWS_WITH(convert_model(source, options, kQuiet), Contains("give --ram"));
}

// What the refusal of less names.
std::int64_t least_memory(const TensorTable& source, ConvertOptions options) {
  options.memory_bytes = 1;
  try {
    convert_model(source, options, kQuiet);
  } catch (const Error& error) {
    const std::string message = error.what();
    return std::stoll(message.substr(message.find("--ram ") + 6));
  }
  return 0;
}

// In a child that SIGKILL ends after so many pieces.
void convert_until_killed(const TensorTable& source, ConvertOptions options, int pieces) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    options.threads = 1;  // oneTBB's threads are not there after a fork
    convert_model(source, options, [&](std::int64_t, std::int64_t, const char*) {
      if (--pieces == 0) ::kill(::getpid(), SIGKILL);
    });
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
}

TEST_CASE("an interrupted conversion is gone on from, and gives the same bytes") {
  const TempDir folder;
  write_source(folder.file("in"), DType::kF32);
  const TensorTable source = read_gguf(folder.file("in"));
  ConvertOptions options = options_for(folder.file("out"), DType::kQ4_K);
  options.memory_bytes = (1 << 20) + 12000;
  convert_model(source, options, kQuiet);
  const std::string expected = read_file(folder.file("out"));
  std::filesystem::remove(folder.file("out"));
  convert_until_killed(source, options, 20);
  REQUIRE_FALSE(std::filesystem::exists(folder.file("out")));
  const auto left =
      static_cast<std::int64_t>(std::filesystem::file_size(folder.file("out.partial")));

  SECTION("all of it is used") {
    CHECK(convert_model(source, options, kQuiet).resumed_bytes == left);
  }
  SECTION("with another budget") {
    options.memory_bytes = 64 << 20;
    CHECK(convert_model(source, options, kQuiet).resumed_bytes == left);
  }
  SECTION("but for what was damaged since") {
    std::fstream(folder.file("out.partial"), std::ios::in | std::ios::out | std::ios::binary)
            .seekp(left / 2)
        << "damage";
    const std::int64_t resumed = convert_model(source, options, kQuiet).resumed_bytes;
    CHECK(resumed > 0);
    CHECK(resumed <= left / 2);
  }
  SECTION("but not for another type") {
    options.types.matrices = DType::kQ5_K;
    CHECK(convert_model(source, options, kQuiet).resumed_bytes == 0);
    return;
  }
  SECTION("but not for another source") {
    write_source(folder.file("in"), DType::kF32, 0.25f);
    CHECK(convert_model(read_gguf(folder.file("in")), options, kQuiet).resumed_bytes == 0);
    return;
  }
  CHECK(read_file(folder.file("out")) == expected);
  CHECK_FALSE(std::filesystem::exists(folder.file("out.partial")));
  CHECK_FALSE(std::filesystem::exists(folder.file("out.partial.journal")));
}

TEST_CASE("a folder's conversion is gone on from in the middle of a permuted matrix") {
  const TempDir folder;
  for (const std::string model : {"llama3_rope", "falcon_new", "gpt2"}) {
    const TensorTable source =
        read_tensor_table(WINDLASS_SOURCE_DIR "/tests/golden/models/" + model);
    ConvertOptions options = options_for(folder.file(model), DType::kQ8_0);
    convert_model(source, options, kQuiet);
    const std::string expected = read_file(folder.file(model));
    std::filesystem::remove(folder.file(model));
    options.memory_bytes = least_memory(source, options) + 5000;
    for (const int pieces : {7, 31, 60}) {  // each goes on from where the one before was killed
      convert_until_killed(source, options, pieces);
      const auto left = std::filesystem::file_size(folder.file(model + ".partial"));
      INFO(model << " after " << left << " of " << expected.size());
      CHECK(left < expected.size());
    }
    const ConvertReport report = convert_model(source, options, kQuiet);
    CHECK(report.resumed_bytes > 0);
    CHECK(read_file(folder.file(model)) == expected);
  }
}

TEST_CASE("a folder whose settings have changed is converted from the beginning") {
  const TempDir folder;
  testing::TinyFolder model;
  model.config["rope_scaling"] = {{"rope_type", "llama3"},
                                  {"factor", 8.0},
                                  {"low_freq_factor", 1.0},
                                  {"high_freq_factor", 4.0},
                                  {"original_max_position_embeddings", 64}};
  model.write(folder);
  const ConvertOptions options = options_for(folder.file("out"), DType::kF16);
  convert_until_killed(read_hf_folder(folder.file(".")), options, 9);
  CHECK(std::filesystem::exists(folder.file("out.partial")));
  // The factors are tensor data: neither the header nor the weights' file tells.
  model.config["rope_scaling"]["factor"] = 4.0;
  testing::write_file(folder.file("config.json"), model.config.dump());
  CHECK(convert_model(read_hf_folder(folder.file(".")), options, kQuiet).resumed_bytes == 0);
}

TEST_CASE("experts of a folder become one tensor, in their order") {
  TensorTable table;
  table.files = {{"a", 1 << 20}};
  table.metadata["general.architecture"] = std::string("any");
  for (const int expert : {1, 10, 2, 0, 3, 4, 5, 6, 7, 8, 9}) {
    TensorInfo info{fmt::format("blk.0.ffn_up.{}.weight", expert),
                    DType::kBF16,
                    {6, 4},
                    {FileId{0}, expert * 48, 48}};
    table.tensors.push_back(std::move(info));
  }
  table.build_index();
  ModelSpec spec;
  spec.arch = find_architecture("llama");
  const std::vector<GgufTensor> layout = gguf_layout(table, spec);
  REQUIRE(layout.size() == 1);
  CHECK(layout[0].name == "blk.0.ffn_up_exps.weight");
  CHECK(layout[0].shape == std::vector<std::int64_t>{11, 6, 4});
  for (int expert = 0; expert < 11; ++expert) {
    CHECK(table.at(layout[0].sources[static_cast<std::size_t>(expert)]).extent.offset_bytes ==
          expert * 48);
  }
}

TEST_CASE("what cannot be converted is named") {
  const TempDir folder;
  for (const float bad : {NAN, INFINITY, 1e6f}) {
    write_source(folder.file("in"), DType::kF32, bad);
    const TensorTable source = read_gguf(folder.file("in"));
    CHECK_THROWS_WITH(convert_model(source, options_for(folder.file("out"), DType::kQ8_0), kQuiet),
                      Contains("'token_embd.weight' row 7 holds a weight that Q8_0 cannot"));
    std::filesystem::remove(folder.file("out.partial"));
  }
  write_source(folder.file("in"), DType::kF32);
  convert_model(read_gguf(folder.file("in")), options_for(folder.file("q8"), DType::kQ8_0), kQuiet);
  CHECK_THROWS_WITH(convert_model(read_gguf(folder.file("q8")),
                                  options_for(folder.file("out"), DType::kQ4_0), kQuiet),
                    Contains("'token_embd.weight' has the type Q8_0: only F32, F16 and BF16"));
}

}  // namespace windlass
