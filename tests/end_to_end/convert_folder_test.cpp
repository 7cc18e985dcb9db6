// windlass convert of Hugging Face folders: the GGUF that llama.cpp's converter makes of the golden
// folders, key by key and byte by byte; and models that it makes none of.
#include <cstring>
#include <filesystem>

#include "src/format/gguf.h"
#include "tests/end_to_end/program.h"
#include "tests/support/catch.h"
#include "tests/support/npy.h"

namespace windlass::test {
namespace {

struct Reference {
  std::string folder, type, file;
};

// The golden GGUF files that llama.cpp's converter has made of golden folders.
const std::vector<Reference> kReferences = {
    {"llama", "f32", "model.gguf"},
    {"llama3_rope", "f32", "model.gguf"},
    {"mistral", "f32", "model.gguf"},
    {"mistral", "f16", "model-f16.gguf"},
    {"qwen2", "f32", "model.gguf"},
    {"qwen2", "bf16", "model-bf16.gguf"},
    {"qwen3", "f32", "model.gguf"},
    {"gemma2", "f32", "model.gguf"},
    {"gemma3", "f32", "model.gguf"},
    {"phi3", "f32", "model.gguf"},
    {"phi3_longrope_long", "f32", "model.gguf"},
    {"phi3_longrope_short", "f32", "model.gguf"},
    {"falcon", "f32", "model.gguf"},
    {"falcon_new", "f32", "model.gguf"},
    {"gpt2", "f32", "model.gguf"},
    {"starcoder2", "f32", "model.gguf"},
    {"stablelm", "f32", "model.gguf"},
    {"mixtral", "f32", "model.gguf"},
    {"qwen3moe", "f32", "model.gguf"},
    {"deepseek2", "f32", "model.gguf"},
};

nlohmann::json convert(const std::string& model, const std::string& out, const std::string& type) {
  return windlass_json({"convert", "-m", golden("models/" + model), out, "--type", type});
}

std::string data_of(const TensorInfo& tensor, const std::string& file) {
  return file.substr(static_cast<std::size_t>(tensor.extent.offset_bytes),
                     static_cast<std::size_t>(tensor.extent.size_bytes));
}

void check_tensors(const std::string& path, const std::string& expected_path) {
  const TensorTable made = read_gguf(path), expected = read_gguf(expected_path);
  const std::string made_bytes = read_bytes(path), expected_bytes = read_bytes(expected_path);
  CHECK(made.tensors.size() == expected.tensors.size());
  for (const TensorInfo& tensor : expected.tensors) {
    INFO(tensor.name);
    REQUIRE(made.find(tensor.name) != kNoTensor);
    const TensorInfo& other = made.at(made.find(tensor.name));
    CHECK(other.shape == tensor.shape);
    REQUIRE(other.type == tensor.type);
    const std::string a = data_of(other, made_bytes), b = data_of(tensor, expected_bytes);
    if (tensor.name != "rope_freqs.weight") {
      CHECK(a == b);
      continue;
    }
    // Computed in float there, in double here.
    const std::vector<float> mine = as_floats(a), theirs = as_floats(b);
    REQUIRE(mine.size() == theirs.size());
    for (std::size_t i = 0; i < mine.size(); ++i) CHECK(mine[i] == Approx(theirs[i]).epsilon(1e-6));
  }
}

// Every key of the expected file is there, with the same value in the same width.
void check_metadata(const std::string& path, const std::string& expected_path) {
  const TensorTable made = read_gguf(path), expected = read_gguf(expected_path);
  for (const auto& [key, value] : expected.metadata) {
    if (key == "general.name") continue;  // the folder's
    INFO(key);
    REQUIRE(made.metadata.contains(key));
    CHECK(made.metadata.at(key) == value);
  }
  for (const auto& [key, array] : expected.arrays) {
    INFO(key);
    REQUIRE(made.arrays.contains(key));
    CHECK(made.arrays.at(key).element_type == array.element_type);
    CHECK(
        read_bytes(path).substr(std::size_t(made.arrays.at(key).extent.offset_bytes),
                                std::size_t(made.arrays.at(key).extent.size_bytes)) ==
        read_bytes(expected_path)
            .substr(std::size_t(array.extent.offset_bytes), std::size_t(array.extent.size_bytes)));
  }
}

TEST_CASE("golden folders become the GGUF files that llama.cpp's converter makes of them") {
  for (const Reference& reference : kReferences) {
    INFO(reference.folder << " as " << reference.type);
    const Folder folder;
    const std::string out = folder / "out.gguf";
    const auto report = convert(reference.folder, out, reference.type);
    CHECK(report["bytes"] == std::filesystem::file_size(out));
    CHECK(report["notes"].empty());
    const std::string expected = golden("models/" + reference.folder + "/" + reference.file);
    check_tensors(out, expected);
    check_metadata(out, expected);
  }
}

TEST_CASE("folders that llama.cpp has no GGUF for convert to models with the golden logits") {
  for (const std::string model : {"opt", "mistral_swa"}) {
    const Folder folder;
    convert(model, folder / "out.gguf", "f32");
    for (const std::string prompt : {"/golden/prompt0.", "/golden/prompt1."}) {
      const std::string path = golden("models/" + model + prompt);
      write_ids(folder / "ids.json", read_npy<std::int32_t>(path + "ids.npy", "<i4").values);
      const auto error =
          difference(as_floats(logits_bytes(folder / "out.gguf", folder / "ids.json",
                                            {"--exact", "-ctk", "f32", "-ctv", "f32"})),
                     read_npy<float>(path + "logits.npy", "<f4").values);
      INFO(model << prompt << ": max " << error.max << ", mean " << error.mean);
      CHECK(error.max <= 2e-4);
      CHECK(error.mean <= 2e-5);
    }
  }
}

TEST_CASE("a converted folder's text becomes the tokens that the folder's becomes") {
  const Folder folder;
  convert("llama", folder / "out.gguf", "q8_0");
  const Arguments text = {"-p", "Hello, 123 wörld\n  it's <s> here"};
  const auto ids = [&](const std::string& model) {
    return windlass_json({"tokenize", "-m", model, text[0], text[1]})["ids"];
  };
  CHECK(ids(folder / "out.gguf") == ids(golden("models/llama")));
}

TEST_CASE("the least memory writes the bytes that all memory writes, of every order of rows") {
  for (const std::string model : {"llama3_rope", "falcon_new", "gpt2", "qwen3moe", "deepseek2"}) {
    const Folder folder;
    const std::string all = folder / "all.gguf", least = folder / "least.gguf";
    convert(model, all, "q8_0");
    const Arguments arguments = {
        "convert", "-m",  golden("models/" + model), least, "--type", "q8_0", "-t", two_threads(),
        "--ram",   "1KiB"};
    const ProcessResult refused = windlass(arguments);
    CHECK(refused.exit_status == 1);
    const std::size_t at = refused.err.find("--ram ");
    REQUIRE(at != std::string::npos);
    Arguments enough = arguments;
    enough.back() = refused.err.substr(at + 6, refused.err.find_first_of(" \n", at + 6) - at - 6);
    INFO(model << " with " << enough.back());
    CHECK(windlass(enough).exit_status == 0);
    CHECK(read_bytes(all) == read_bytes(least));
  }
}

TEST_CASE(
    "convert refuses a folder that is no whole model in one line, and leaves nothing behind") {
  const Folder source, target;
  const auto copy = [&](const char* model) {
    std::filesystem::remove_all(source.path());
    std::filesystem::create_directory(source.path());
    for (const auto& entry : std::filesystem::directory_iterator(golden("models/") + model)) {
      if (entry.is_regular_file()) {
        std::filesystem::copy(entry.path(), source.path() / entry.path().filename());
      }
    }
  };
  const auto refused = [&](const std::string& why) {
    const ProcessResult result =
        windlass({"convert", "-m", source.path().string(), target / "out.gguf", "--type", "q4_0"});
    INFO(result.err);
    CHECK(result.exit_status == 1);
    CHECK_THAT(result.err, Contains(why));
    CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
    CHECK(target.empty());
  };
  const auto change = [&](const char* file, const std::string& from, const std::string& to) {
    std::string text = read_bytes(source / file);
    REQUIRE(text.find(from) != std::string::npos);
    text.replace(text.find(from), from.size(), to);
    write_bytes(source / file, text);
  };
  copy("llama3_rope");
  std::filesystem::remove(source / "model-00002-of-00002.safetensors");
  refused("the shard 'model-00002-of-00002.safetensors' (one of 2) is missing");
  copy("llama");
  change("config.json", "\"model_type\": \"llama\"", "\"model_type\": \"llamo\"");
  refused("model_type 'llamo' is not supported");
  copy("llama");
  change("tokenizer.json", "\"id\": 3", "\"id\": 512");
  refused("has a token with the id 512, but the embedding 512 rows");
  copy("llama");
  change("tokenizer.json", "\"normalizer\": null", "\"normalizer\": {\"type\": \"Lowercase\"}");
  refused("GGUF has no words for the normalizer 'Lowercase'");
}

}  // namespace
}  // namespace windlass::test
