// Hugging Face folders through the program: every command that takes a model takes them.
#include <fmt/format.h>

#include <filesystem>

#include "tests/end_to_end/program.h"
#include "tests/support/catch.h"

namespace windlass::test {
namespace {

const std::string kModel = golden("models/llama3_rope");

// A copy of a golden folder, to write into.
void copy_model(const Folder& folder) {
  for (const auto& entry : std::filesystem::directory_iterator(kModel)) {
    const std::string name = entry.path().filename();
    const bool wanted = name == "config.json" || name.find("safetensors") != std::string::npos;
    if (wanted) std::filesystem::copy(entry.path(), folder / name);
  }
}

TEST_CASE("info says of a folder what it says of a GGUF") {
  auto folder = windlass_json({"info", "-m", kModel});
  auto gguf = windlass_json({"info", "-m", golden_model("llama3_rope")});
  CHECK(folder["format"] == "huggingface");
  CHECK(gguf["format"] == "gguf");
  CHECK(folder["files"].size() == 2);
  CHECK(folder["architecture"] == gguf["architecture"]);
  CHECK(folder["hyperparameters"] == gguf["hyperparameters"]);
  // The GGUF has the eight RoPE factors as a tensor.
  CHECK(folder["parameters"].get<int>() + 8 == gguf["parameters"].get<int>());
  for (const auto& [key, value] : gguf.items()) CHECK(folder.contains(key));
}

TEST_CASE("info names the chat template, of a folder and of the GGUF made of it") {
  const Folder source, target;
  for (const auto& entry : std::filesystem::directory_iterator(golden("models/llama"))) {
    if (entry.is_regular_file()) {
      std::filesystem::copy(entry.path(), source.path() / entry.path().filename());
    }
  }
  const auto named = [](const std::string& model) {
    return windlass_json({"info", "-m", model})["chat_template"];
  };
  CHECK(named(source.path().string())["name"] == "");
  const std::string chatml =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
      "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
  const std::string own = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}";
  for (const auto& [text, name] : {std::pair{chatml, "chatml"}, std::pair{own, "custom"}}) {
    write_bytes(source / "chat_template.jinja", text);
    const std::string out = target / (std::string(name) + ".gguf");
    windlass_json({"convert", "-m", source.path().string(), out, "--type", "f16"});
    for (const std::string& model : {source.path().string(), out}) {
      CHECK(named(model)["name"] == name);
      CHECK(named(model)["bytes"] == text.size());
      CHECK_THAT(windlass({"info", "-m", model}).out,
                 Contains(fmt::format("chat_template {} ({} bytes)", name, text.size())));
    }
  }
}

TEST_CASE("with tools, a folder and the GGUF made of it use the template for tools") {
  const Folder folder, target;
  for (const auto& entry : std::filesystem::directory_iterator(golden("models/llama"))) {
    if (entry.is_regular_file()) {
      std::filesystem::copy(entry.path(), folder.path() / entry.path().filename());
    }
  }
  std::filesystem::create_directory(folder.path() / "additional_chat_templates");
  write_bytes(folder / "chat_template.jinja", "plain");
  write_bytes(folder / "additional_chat_templates/tool_use.jinja", "{{ tools | length }} tools");
  write_bytes(folder / "tools.json", "[{}, {}]");
  const std::string gguf = target / "m.gguf";
  windlass_json({"convert", "-m", folder.path().string(), gguf, "--type", "f16"});
  for (const std::string& model : {folder.path().string(), gguf}) {
    const auto ids = [&](Arguments more) {
      Arguments arguments = {"run", "-m", model, "-n", "0", "--ram", "256MiB"};
      arguments.insert(arguments.end(), more.begin(), more.end());
      return windlass_json(arguments)["prompt_ids"];
    };
    CHECK(ids({"-p", "x", "--tools", folder / "tools.json"}) == ids({"--raw", "-p", "2 tools"}));
    CHECK(ids({"-p", "x"}) == ids({"--raw", "-p", "plain"}));
  }
}

TEST_CASE("a folder is planned, examined and run like a file") {
  const Folder folder;
  write_ids(folder / "ids.json", {1, 5, 9});
  CHECK(windlass_json({"plan", "-m", kModel + "/"})["min_ram_bytes"].get<double>() > 0);
  CHECK_FALSE(windlass_json({"doctor", "-m", kModel}).empty());
  const auto answer = windlass_json(
      {"run", "-m", kModel, "--ids", folder / "ids.json", "-n", "2", "--raw", "--ignore-eos"});
  CHECK(answer["ids"].size() == 2);
  CHECK(answer["receipt"]["model"] == kModel);
}

TEST_CASE("no output replaces a file of the folder that is read") {
  const Folder folder;
  copy_model(folder);
  write_ids(folder / "ids.json", {1, 5, 9});
  for (const char* name : {"model-00002-of-00002.safetensors", "config.json"}) {
    const std::string before = read_bytes(folder / name);
    const auto result = windlass({"logits", "-m", folder.path().string(), "--ids",
                                  folder / "ids.json", "-o", folder / name});
    CHECK(result.exit_status == 2);
    CHECK_THAT(result.err, Contains("name another file"));
    CHECK(read_bytes(folder / name) == before);
  }
}

TEST_CASE("a folder that is not whole fails with one line that names what is missing") {
  const Folder folder;
  copy_model(folder);
  std::filesystem::remove(folder / "model-00002-of-00002.safetensors");
  const auto result = windlass({"info", "-m", folder.path().string()});
  CHECK(result.exit_status == 1);
  CHECK_THAT(result.err, Contains("the shard 'model-00002-of-00002.safetensors' (one of 2) is "
                                  "missing"));
  const auto file = windlass({"info", "-m", folder / "model-00001-of-00002.safetensors"});
  CHECK(file.exit_status == 2);
  CHECK_THAT(file.err, Contains("give the folder"));
}

}  // namespace
}  // namespace windlass::test
