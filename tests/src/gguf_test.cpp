// read_gguf on files (opening, shards, arrays) and GgufWriter. The parser's bad input:
// gguf_corpus_test.cpp.
#include "src/format/gguf.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "src/base/error.h"
#include "tests/support/catch.h"
#include "tests/support/tiny_model.h"

namespace windlass {
namespace {

using testing::read_file;
using testing::TempDir;
using testing::write_file;

const std::string kCorpus = WINDLASS_SOURCE_DIR "/tests/corpus/gguf/";

// The error's text; fails the test when there is none or its kind is another.
template <typename Body>
std::string error_of(ErrorCode code, const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  FAIL("no error");
  return {};
}

// Shard `number` of `count`, holding tensors t<number>a and t<number>b of 8 floats.
void write_shard(const std::string& path, std::uint32_t number, std::uint32_t count,
                 std::uint32_t tensors_in_all) {
  GgufWriter writer(path);
  writer.add_metadata_u32("split.no", number - 1);
  writer.add_metadata_u32("split.count", count);
  writer.add_metadata_u32("split.tensors.count", tensors_in_all);
  writer.add_metadata("general.name", std::string(number == 1 ? "first" : "other"));
  for (const char* suffix : {"a", "b"}) {
    writer.add_tensor(fmt::format("t{}{}", number, suffix), DType::kF32, {8});
  }
  writer.begin_data();
  writer.skip_data();
  writer.finish();
}

std::string shard_path(const TempDir& folder, int number, int count) {
  return folder.file(fmt::format("m-{:05d}-of-{:05d}.gguf", number, count));
}

}  // namespace

TEST_CASE("a missing file, a directory and a FIFO are named as what they are") {
  const TempDir folder;
  CHECK_THAT(error_of(ErrorCode::kIo, [&] { read_gguf(folder.file("absent.gguf")); }),
             Contains("absent.gguf: cannot open: No such file"));
  CHECK_THAT(error_of(ErrorCode::kIo, [&] { read_gguf(folder.file("")); }),
             Contains("is a directory"));
  REQUIRE(::mkfifo(folder.file("fifo").c_str(), 0600) == 0);
  CHECK_THAT(error_of(ErrorCode::kIo, [&] { read_gguf(folder.file("fifo")); }),
             Contains("is a FIFO"));
  write_file(folder.file("empty.gguf"), "");
  CHECK_THAT(error_of(ErrorCode::kBadFile, [&] { read_gguf(folder.file("empty.gguf")); }),
             Contains("empty.gguf: byte 0: the file is empty"));
}

TEST_CASE("tensors come in file order with absolute extents and shapes slowest first") {
  const TensorTable table = read_gguf(kCorpus + "model_rope_factors.gguf");
  const TensorInfo& k = table.at(table.find("blk.0.attn_k.weight"));
  CHECK(k.shape == std::vector<std::int64_t>{16, 32});
  CHECK(k.type == DType::kQ4_1);
  CHECK(k.n_rows() == 16);
  CHECK(k.row_bytes() == 20);
  CHECK(k.extent.size_bytes == 320);
  CHECK(table.find("nothing") == kNoTensor);
  for (std::size_t i = 1; i < table.tensors.size(); ++i) {
    CHECK(table.tensors[i].extent.offset_bytes >= table.tensors[i - 1].extent.end_bytes());
  }
  // The corpus file's data: byte j of tensor i is (37 i + 11 j) mod 61.
  const std::string bytes = read_file(kCorpus + "model_rope_factors.gguf");
  for (std::size_t i = 0; i < table.tensors.size(); ++i) {
    const auto at = static_cast<std::size_t>(table.tensors[i].extent.offset_bytes);
    CHECK(static_cast<unsigned char>(bytes[at]) == i * 37 % 61);
    CHECK(static_cast<unsigned char>(bytes[at + 1]) == (i * 37 + 11) % 61);
  }
}

TEST_CASE("metadata arrays are read when asked for and checked for their type") {
  const TensorTable table = read_gguf(kCorpus + "ok_metadata.gguf");
  CHECK(read_string_array(table, "array.strings") ==
        std::vector<std::string>{"a", "", "\u00e9\u00e9", std::string("\xff\0", 2)});
  CHECK(read_float_array(table, "array.6") == std::vector<float>{1, 0, 1});
  CHECK(read_float_array(table, "array.empty").empty());
  for (const char* key : {"array.0", "array.1", "array.4", "array.5", "array.10", "array.11"}) {
    CHECK(read_int_array(table, key) == std::vector<std::int32_t>{1, 0, 1});
  }
  CHECK_THAT(error_of(ErrorCode::kBadFile, [&] { read_int_array(table, "array.strings"); }),
             Contains("'array.strings' has elements of type 8, not integers"));
  CHECK_THAT(error_of(ErrorCode::kBadFile, [&] { read_string_array(table, "array.6"); }),
             Contains("not strings"));
  CHECK_THAT(error_of(ErrorCode::kBadFile, [&] { read_float_array(table, "absent"); }),
             Contains("metadata array 'absent' is missing"));
}

TEST_CASE("a file that shrinks after it was opened gives an error when an array is read") {
  const TempDir folder;
  const std::string path = folder.file("model.gguf");
  std::filesystem::copy_file(kCorpus + "ok_vocabulary_only.gguf", path);
  const TensorTable table = read_gguf(path);
  CHECK(read_string_array(table, "tokenizer.ggml.tokens").size() == 300);
  std::filesystem::resize_file(path, 1000);
  CHECK_THAT(error_of(ErrorCode::kIo, [&] { read_string_array(table, "tokenizer.ggml.tokens"); }),
             Contains("the file ends at byte 1000"));
}

TEST_CASE("any shard of a split model opens all of them in order") {
  const TempDir folder;
  for (const std::uint32_t number : {1U, 2U, 3U}) {
    write_shard(shard_path(folder, static_cast<int>(number), 3), number, 3, 6);
  }
  for (const int given : {1, 2, 3}) {
    const TensorTable table = read_gguf(shard_path(folder, given, 3));
    REQUIRE(table.files.size() == 3);
    REQUIRE(table.tensors.size() == 6);
    CHECK(table.tensors[0].name == "t1a");
    CHECK(table.tensors[5].name == "t3b");
    CHECK(table.tensors[5].extent.file == FileId{2});
    CHECK(table.files[2].path == shard_path(folder, 3, 3));
    CHECK(*table.find_string("general.name") == "first");
  }
}

TEST_CASE("shards that are missing, misnamed or of another model are refused") {
  const TempDir folder;
  write_shard(shard_path(folder, 1, 2), 1, 2, 4);
  CHECK_THAT(error_of(ErrorCode::kIo, [&] { read_gguf(shard_path(folder, 1, 2)); }),
             Contains("shard 2 of 2") && Contains("m-00002-of-00002.gguf: cannot open"));
  write_shard(shard_path(folder, 2, 2), 1, 2, 4);
  CHECK_THAT(error_of(ErrorCode::kBadFile, [&] { read_gguf(shard_path(folder, 1, 2)); }),
             Contains("holds shard 1 of 2 by its metadata, not 2 of 2"));
  std::filesystem::copy_file(shard_path(folder, 1, 2), folder.file("renamed.gguf"));
  CHECK_THAT(error_of(ErrorCode::kBadFile, [&] { read_gguf(folder.file("renamed.gguf")); }),
             Contains("does not end in -00001-of-00002.gguf"));
  write_shard(shard_path(folder, 1, 4), 1, 2, 4);
  CHECK_THAT(error_of(ErrorCode::kBadFile, [&] { read_gguf(shard_path(folder, 1, 4)); }),
             Contains("is named shard 1 of 4, but its metadata say 2 shards"));
  write_shard(shard_path(folder, 2, 2), 2, 2, 4);
  CHECK(read_gguf(shard_path(folder, 1, 2)).tensors.size() == 4);
  write_shard(shard_path(folder, 1, 2), 1, 2, 5);
  CHECK_THAT(error_of(ErrorCode::kBadFile, [&] { read_gguf(shard_path(folder, 1, 2)); }),
             Contains("the 2 shards hold 4 tensors, but split.tensors.count is 5"));
}

TEST_CASE("opening reads headers only, however large the tensors and the vocabulary are") {
  const TempDir folder;
  const std::string path = folder.file("large.gguf");
  GgufWriter writer(path);
  writer.add_string_array("words", std::vector<std::string>(128000, "a token"));
  writer.add_float_array("scores", std::vector<float>(128000, 1.0F));
  for (int i = 0; i < 40; ++i) {
    writer.add_tensor(fmt::format("t{}", i), DType::kF16, {8192, 65536});
  }
  writer.begin_data();
  writer.skip_data();
  CHECK(writer.finish() > std::int64_t{40} << 30);
  const TensorTable table = read_gguf(path);
  CHECK(table.weight_bytes() == std::int64_t{40} << 30);
  // Strings are walked (15 B each), numbers are passed over.
  CHECK(table.header_bytes < 128000 * 15 + 3 * 65536);
}

TEST_CASE("what the writer writes reads back the same, data in any pieces") {
  const TempDir folder;
  const std::string path = folder.file("written.gguf");
  const std::int64_t alignment = GENERATE(32, 128);
  const std::size_t piece = GENERATE(1, 7, 1000);
  std::string data(3 * 4 + 2 * 18 + 5 * 2, '\0');
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i + 1);

  GgufWriter writer(path, alignment);
  writer.add_metadata("text", std::string("line\nline"));
  writer.add_metadata("flag", true);
  writer.add_metadata("negative", std::int64_t{-5});
  writer.add_metadata("large", ~std::uint64_t{0});
  writer.add_metadata("real", 0.1);
  writer.add_metadata_u32("u32", 4000000000U);
  writer.add_metadata_f32("f32", 0.5F);
  writer.add_int_array("ints", {-1, 2});
  writer.add_tensor("f32", DType::kF32, {3});
  writer.add_tensor("q4_0", DType::kQ4_0, {2, 32});
  writer.add_tensor("f16", DType::kF16, {5, 1});
  writer.begin_data();
  for (std::size_t at = 0; at < data.size(); at += piece) {
    writer.write_data(
        std::as_bytes(std::span(data).subspan(at).first(std::min(piece, data.size() - at))));
  }
  CHECK_FALSE(std::filesystem::exists(path));
  const std::int64_t size_bytes = writer.finish();
  CHECK(size_bytes == static_cast<std::int64_t>(std::filesystem::file_size(path)));

  const TensorTable table = read_gguf(path);
  CHECK(*table.find_string("text") == "line\nline");
  CHECK(table.find_bool("flag") == true);
  CHECK(table.find_int("negative", -5, 0) == -5);
  CHECK(std::get<std::uint64_t>(table.metadata.at("large")) == ~std::uint64_t{0});
  CHECK(table.find_float("real") == 0.1);
  CHECK(table.require_int("u32", 0, 1LL << 40) == 4000000000LL);
  CHECK(table.find_float("f32") == 0.5);
  CHECK(read_int_array(table, "ints") == std::vector<std::int32_t>{-1, 2});
  const std::string bytes = read_file(path);
  std::string found;
  for (const TensorInfo& tensor : table.tensors) {
    CHECK(tensor.extent.offset_bytes % alignment == 0);
    found += bytes.substr(static_cast<std::size_t>(tensor.extent.offset_bytes),
                          static_cast<std::size_t>(tensor.extent.size_bytes));
  }
  CHECK(found == data);
}

TEST_CASE("copied metadata keeps its exact type") {
  const TempDir folder;
  const TensorTable from = read_gguf(kCorpus + "ok_metadata.gguf");
  GgufWriter writer(folder.file("copy.gguf"));
  // In the order of the source file, so that the copies' bytes must equal the whole source.
  for (const int type : {0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 8}) {
    writer.copy_metadata(from, fmt::format("scalar.{}", type));
  }
  for (const int type : {0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12}) {
    writer.copy_metadata(from, fmt::format("array.{}", type));
  }
  writer.copy_metadata(from, "array.strings");
  writer.copy_metadata(from, "array.empty");
  CHECK_THAT(error_of(ErrorCode::kBadFile, [&] { writer.copy_metadata(from, "absent"); }),
             Contains("metadata key 'absent' is missing"));
  writer.begin_data();
  writer.finish();
  CHECK(read_file(folder.file("copy.gguf")) == read_file(kCorpus + "ok_metadata.gguf"));
}

TEST_CASE("an unfinished file leaves nothing behind and keeps what was there") {
  const TempDir folder;
  const std::string path = folder.file("model.gguf");
  write_file(path, "before");
  {
    GgufWriter writer(path);
    writer.add_tensor("t", DType::kF32, {1000});
    writer.begin_data();
    CHECK(read_file(path) == "before");
  }
  CHECK(read_file(path) == "before");
  std::filesystem::remove(path);
  CHECK(std::filesystem::is_empty(folder.file("")));
}

TEST_CASE("a failed write names the file and leaves no partial file") {
  const TempDir folder;
  const std::string path = folder.file("model.gguf");
  CHECK_THAT(error_of(ErrorCode::kIo, [&] { GgufWriter(folder.file("absent/model.gguf")); }),
             Contains("model.gguf: cannot create"));

  // A file size limit stands in for a full disk: both end a write short and then with an errno.
  rlimit before = {};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  rlimit limited = before;
  limited.rlim_cur = 3 << 20;
  auto* old_handler = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limited) == 0);
  const std::string message = error_of(ErrorCode::kNoSpace, [&] {
    GgufWriter writer(path);
    writer.add_tensor("t", DType::kF32, {4 << 20});
    writer.begin_data();
    writer.write_data(std::vector<std::byte>(16 << 20));
    writer.finish();
  });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old_handler);
  CHECK_THAT(message, Contains("model.gguf: writing after 3.0 MiB (3145728 B)"));
  CHECK(std::filesystem::is_empty(folder.file("")));
}

TEST_CASE("skipped data is a hole of the right size") {
  const TempDir folder;
  const std::string path = folder.file("hole.gguf");
  GgufWriter writer(path);
  writer.add_tensor("a", DType::kF32, {100});
  writer.add_tensor("b", DType::kQ4_0, {1 << 20, 1024});
  writer.begin_data();
  writer.write_data(std::vector<std::byte>(99));
  writer.skip_data();
  const std::int64_t size_bytes = writer.finish();
  struct stat status = {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK(status.st_size == size_bytes);
  CHECK(status.st_blocks * 512 < 1 << 20);
  const TensorTable table = read_gguf(path);
  CHECK(table.tensors[1].extent.end_bytes() == size_bytes);
}

}  // namespace windlass
