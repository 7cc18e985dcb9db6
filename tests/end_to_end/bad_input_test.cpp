// Bad input: each case is a one-line error that says what to do, the right exit status, and no file
// left behind.
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "src/format/gguf.h"
#include "tests/end_to_end/program.h"
#include "tests/support/catch.h"

namespace windlass::test {
namespace {

struct Case {
  Arguments arguments;
  int exit_status;
  std::string says;
};

void check(const Case& bad) {
  const ProcessResult result = windlass(bad.arguments);
  INFO(nlohmann::json(bad.arguments).dump() << " gave " << result.exit_status << "\n"
                                            << result.err);
  CHECK(result.signal == 0);
  CHECK(result.exit_status == bad.exit_status);
  CHECK_THAT(result.err, Contains(bad.says));
  CHECK(result.err.starts_with("windlass: error: "));
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
  CHECK(result.out.empty());

  Arguments with_json = bad.arguments;
  with_json.emplace_back("--json");
  const ProcessResult json_result = windlass(with_json);
  INFO(json_result.out);
  CHECK(json_result.exit_status == bad.exit_status);
  const auto json = nlohmann::json::parse(json_result.out, nullptr, false);
  REQUIRE(json.is_object());
  CHECK_FALSE(json["error"]["code"].get<std::string>().empty());
  CHECK_THAT(json["error"]["message"].get<std::string>(), Contains(bad.says));
}

Arguments run_with(const std::string& model, const Arguments& more) {
  Arguments arguments = {"run", "-m", model, "--raw", "-n", "1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST_CASE("a list of tests that makes no sense is refused with what is wanted") {
  const std::string model = golden_model("llama");
  const auto with = [&](const Arguments& more) {
    Arguments arguments = {"bench", "-m", model};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  // The first run on a machine measures it, and says so.
  REQUIRE(windlass(with({"-p", "1", "-n", "0", "-r", "1"})).exit_status == 0);
  const std::vector<Case> cases = {
      {{"bench"}, 2, "no model given"},
      {{"bench", "-m", model + "x"}, 1, "cannot open"},
      {with({"-p", "many"}), 2, "-p many: a number, a list"},
      {with({"-p", "1,,2"}), 2, "-p : a number, a list"},
      {with({"-p", "-4"}), 2, "-p -4: a number"},
      {with({"-n", "9-4"}), 2, "-n 9-4"},
      {with({"-n", "1-4*1"}), 2, "-n 1-4*1"},
      {with({"-n", "1-4+0"}), 2, "-n 1-4+0"},
      {with({"-n", "0-4*2"}), 2, "-n 0-4*2"},
      {with({"-n", "1-100000"}), 2, "more than 1000 values"},
      {with({"-n", "99999999999"}), 2, "at most 1073741824"},
      {with({"-n", "99999999999999999999"}), 2, "-n 99999999999999999999"},
      {with({"-p", "1-1000", "-d", "0-900"}), 2, "more than 10000 tests"},
      {with({"-p", "0", "-n", "0"}), 2, "no test"},
      {with({"-pg", "512"}), 2, "two numbers"},
      {with({"-np", "0"}), 2, "-np 0: at least 1"},
      {with({"-b", "0"}), 2, "-b 0: at least 1"},
      {with({"-r", "0"}), 2, "-r 0: at least 1"},
      {with({"-t", "4000"}), 2, "-t 4000"},
      {with({"-ctk", "q9_9", "-ctv", "q9_9"}), 2, "-ctk q9_9: one of"},
      {with({"-p", "1000000"}), 2, "pp1000000: needs a context of 1000000 tokens"},
      {with({"--ram", "1MiB"}), 1, "--ram 1.0 MiB is too small"},
  };
  for (const Case& bad : cases) check(bad);
  CHECK(windlass(with({"-o", "xml"})).exit_status == 2);
  CHECK(windlass(with({"-o", "csv", "--json"})).exit_status == 2);
}

TEST_CASE("a command line that is wrong is refused with the nearest right name") {
  const std::string model = golden_model("llama");
  const std::vector<Case> cases = {
      {{"rnu", "-m", model}, 2, "unknown command rnu; the nearest is run"},
      {{"--josn"}, 2, "unknown flag --josn"},
      {run_with(model, {"-p", "x", "--rma", "1GiB"}), 2,
       "unknown flag --rma; the nearest is --ram"},
      {run_with(model, {"-p", "x", "-ctx", "12"}), 2, "unknown flag -ctx; the nearest is -ct"},
      {run_with(model, {"-p", "x", "-n"}), 2, "--predict"},
      {run_with(model, {"-p", "x", "-n", "many"}), 2, "many"},
      {run_with(model, {"-p", "x", "-n", "-2"}), 2, "-n -2"},
      {run_with(model, {"-p", "x", "-c", "-1"}), 2, "-c -1"},
      {run_with(model, {"-p", "x", "--ram", "5"}), 2, "--ram"},
      {run_with(model, {"-p", "x", "--ram", "-1GiB"}), 2, "--ram"},
      {run_with(model, {"-p", "x", "--ram", "muchGiB"}), 2, "--ram"},
      {run_with(model, {"-p", "x", "--vram", "4000GiB"}), 1, "--vram"},
      {run_with(model, {"-p", "x", "-ctk", "q4_0", "-ctv", "q4_0"}), 2, "q4_0"},
      {run_with(model, {"-p", "x", "-ctk", "q8_0"}), 2, "blocks of 32 do not divide the heads"},
      {run_with(model, {"-p", "x", "-ctv", "q8_0"}), 2, "use -ctv f16"},
      {run_with(golden_model("deepseek2"), {"-p", "x", "-ctk", "f32"}), 2,
       "values inside its keys"},
      {run_with(model, {"-p", "x", "--isa", "avx9"}), 2, "avx9"},
      {run_with(model, {"-p", "x", "-t", "-1"}), 2, "-t -1: must not be negative"},
      {run_with(model, {"-p", "x", "-t", "100000"}), 2, "-t 100000: this process may run on "},
      {{"convert", "-m", model, "out.gguf", "--type", "q8_0", "-t", "100000"}, 2, "-t 0 for "},
      {run_with(model, {"-p", "x", "stray"}), 2, "stray"},
      {run_with(model, {"-p", "x", "--seed", "-1"}), 2, "-1 is not a whole number from 0"},
      {run_with(model, {"-p", "x", "--seed", "18446744073709551616"}), 2, "not a whole number"},
      {run_with(model, {"-p", "x", "-f", "y"}), 2, "more than one prompt"},
      {run_with(model, {}), 2, "no prompt given"},
      {{"run", "-m", model}, 2, "give a prompt"},
      {{"run", "-p", "x"}, 2, "no model given"},
      {{"run", "-m", model, "-p", "x", "--add-special"}, 2, "--raw"},
      {run_with(model, {"-p", "x", "-sys", "y"}), 2, "-sys acts only with the chat template"},
      {run_with(model, {"-p", "x", "--tools", "y"}), 2, "--tools cannot act with --raw"},
      {run_with(model, {"-p", "x", "--chat-template", "y"}), 2, "--chat-template cannot act"},
      {{"run", "-m", model, "-p", "x"}, 1, "has no chat template: give one with --chat-template"},
      {{"run", "-m", model, "-p", "x", "--chat-template", "chatlm"},
       2,
       "--chat-template chatlm: neither a file nor one of chatml, llama-3"},
      {{"run", "-m", model, "-p", "x", "--chat-template", "gemma", "-sys", "y"},
       2,
       "chat template 'gemma', line 4: System role not supported"},
      {{"logits", "-m", model, "-p", "x"}, 2, "-o OUT.npy"},
      {{"tokenize", "-m", model}, 2, "-p TEXT, -f FILE, --stdin"},
      {{"plan", "-m", model, "--what-if", "nvem=7GB"}, 2, "unknown key; the nearest is nvme"},
      {{"plan", "-m", model, "--what-if", "vram=0"}, 2, "a size above 0"},
      {{"plan", "-m", model, "--what-if", "pcie=0GB/s"}, 2, "above 0"},
      {{"plan", "-m", model, "--what-if", "gpu_tflops=-3"}, 2, "from 0.001"},
      {{"plan", "-m", model, "--what-if", "gpu_tflops=nan"}, 2, "from 0.001"},
      {{"plan", "-m", model, "--what-if", "vram=8GiB", "--vram", "9GiB"}, 2, "9.00 GiB is more"},
      {{"plan", "-m", model, "--what-if", "nvme=7GB", "--vram", "9GiB"}, 2, "has no GPU"},
      {{"plan", "-m", model, "--what-if", "ram=8GiB", "--ram", "16GiB"}, 2, "--what-if ram"},
      {{"plan", "-m", model, "--what-if", "ram=1KiB"}, 2, "--what-if ram=1.0 KiB"},
      {{"plan", "-m", model, "--what-if", "nvme=0"}, 2, "above 0"},
      {{"synth"}, 2, "no output file given"},
  };
  for (const Case& bad : cases) check(bad);
  CHECK(windlass({}).exit_status == 2);
  CHECK_THAT(windlass({}).err, Contains("no command given"));
}

TEST_CASE("text that is not UTF-8 is refused with its first wrong byte") {
  const Folder folder;
  const std::string model = golden_model("llama");
  write_bytes(folder / "latin1.txt", "d\xE9j\xE0 vu");
  const std::string says = "latin1.txt: byte 1 (0xe9) is not UTF-8";
  check({run_with(model, {"-f", folder / "latin1.txt"}), 2, says});
  check({{"tokenize", "-m", model, "-f", folder / "latin1.txt"}, 2, says});
  check({{"perplexity", "-m", model, "-f", folder / "latin1.txt"}, 2, says});
  const ProcessResult prompt = windlass({"tokenize", "-m", model, "-p", "caf\xE9"});
  CHECK(prompt.exit_status == 2);
  CHECK_THAT(prompt.err, Contains("-p: byte 3 (0xe9)"));
}

TEST_CASE("a template or tools that cannot be used are refused by file and line") {
  const Folder folder;
  const std::string model = golden_model("llama");
  write_bytes(folder / "bad.jinja", "a\n{% import 'x' %}");
  write_bytes(folder / "empty.jinja", "{# nothing #}");
  write_bytes(folder / "object.json", "{}");
  write_bytes(folder / "text.json", "[1]");
  const auto with = [&](const std::string& flag, const std::string& value) {
    return Arguments{"run", "-m", model, "-p", "x", "--chat-template", "chatml", flag, value};
  };
  Arguments own = with("-n", "1");
  own[6] = folder / "bad.jinja";
  check({own, 1, "bad.jinja, line 2: the tag 'import' is not supported"});
  own[6] = folder / "empty.jinja";
  check({own, 2, "renders this conversation to nothing"});
  check({with("--tools", folder / "object.json"), 2, "object.json is not a JSON array of tools"});
  check({with("--tools", folder / "text.json"), 2, "text.json: tool 0 is not a JSON object"});
  check({with("--tools", folder / "none.json"), 1, "none.json"});
  write_bytes(folder / "deep.json", std::string(100000, '[') + std::string(100000, ']'));
  check({with("--tools", folder / "deep.json"), 2, "deep.json: nested more than 256 deep"});
  write_bytes(folder / "tools.json", R"([{"type":"function","function":{"name":"f"}}])");
  check({with("--tools", folder / "tools.json"), 2, "--tools cannot act"});
}

TEST_CASE("a prompt that is empty, too long or not of the vocabulary is refused with numbers") {
  const Folder folder;
  const std::string model = golden_model("llama");
  write_bytes(folder / "empty.json", "[]");
  write_ids(folder / "long.json", std::vector<std::int32_t>(100, 5));
  write_ids(folder / "outside.json", {1, 512});
  write_bytes(folder / "text.json", "[1, \"two\"]");
  write_bytes(folder / "object.json", "{\"ids\": [1]}");
  check({run_with(model, {"--ids", folder / "empty.json"}), 2, "holds no token"});
  check({run_with(model, {"--ids", folder / "long.json", "-c", "64"}), 1,
         "the prompt has 100 tokens and the context 64"});
  check({run_with(model, {"--ids", folder / "outside.json"}), 2,
         "entry 1 is 512, but the vocabulary has 512 tokens"});
  check({run_with(model, {"--ids", folder / "text.json"}), 2, "entry 1 is not a token id"});
  check({run_with(model, {"--ids", folder / "object.json"}), 2, "not a JSON array"});
  check({run_with(model, {"--ids", folder / "absent.json"}), 1, "absent.json"});
  write_ids(folder / "endless.json", std::vector<std::int32_t>(2049, 5));
  check({run_with(model, {"--ids", folder / "endless.json"}), 1, "has 2049 tokens, but"});
  const std::string out = folder / "out.npy";
  check({{"logits", "-m", model, "--ids", folder / "long.json", "-c", "64", "-o", out},
         1,
         "100 tokens"});
  check({{"logits", "-m", model, "--ids", folder / "long.json", "-o", folder / "no/such/out.npy"},
         1,
         "no/such"});
  CHECK(folder.n_files() == 6);  // the inputs
}

TEST_CASE("a file that is no model is refused by name, whatever is wrong with it") {
  const Folder folder;
  const std::string whole = read_bytes(golden_model("llama"));
  write_bytes(folder / "empty.gguf", "");
  write_bytes(folder / "magic.gguf", "GGML" + whole.substr(4));
  std::string absurd = whole;
  std::fill(absurd.begin() + 8, absurd.begin() + 16, '\xff');
  write_bytes(folder / "counts.gguf", absurd);
  const std::vector<Case> cases = {
      {run_with(folder / "absent.gguf", {"-p", "x"}), 1, "absent.gguf"},
      {run_with(folder.path().string(), {"-p", "x"}), 1, folder.path().string()},
      {run_with(folder / "empty.gguf", {"-p", "x"}), 1, "empty.gguf"},
      {run_with(folder / "magic.gguf", {"-p", "x"}), 1, "magic.gguf"},
      {run_with(folder / "counts.gguf", {"-p", "x"}), 1, "counts.gguf"},
  };
  for (const Case& bad : cases) check(bad);
  for (const char* command : {"info", "tokenize", "plan", "logits", "perplexity", "selftest"}) {
    Arguments arguments = {command, "-m", folder / "magic.gguf"};
    const std::string name = command;
    if (name == "tokenize") arguments.insert(arguments.end(), {"-p", "x"});
    if (name == "perplexity") arguments.insert(arguments.end(), {"-f", folder / "magic.gguf"});
    if (name == "logits") arguments.insert(arguments.end(), {"-p", "x", "-o", folder / "out.npy"});
    check({arguments, 1, "magic.gguf"});
  }
}

TEST_CASE("a model cut off anywhere is refused, and nothing is written") {
  const Folder folder;
  const std::string whole = read_bytes(golden_model("llama"));
  write_ids(folder / "ids.json", {1, 2, 3});
  const std::string cut = folder / "cut.gguf", out = folder / "out.npy";
  for (std::size_t size = 1; size < whole.size(); size += whole.size() / 23) {
    write_bytes(cut, whole.substr(0, size));
    const ProcessResult result =
        windlass({"logits", "-m", cut, "--ids", folder / "ids.json", "-o", out});
    INFO(size << " bytes: " << result.err);
    CHECK(result.exit_status == 1);
    CHECK_THAT(result.err, Contains("cut.gguf"));
    CHECK(folder.n_files() == 2);  // the inputs
  }
}

TEST_CASE(
    "a model that shrinks while it is read ends the run with its name, and nothing is written") {
  const Folder folder;
  const std::string model = folder / "model.gguf", out = folder / "out.npy";
  windlass_json({"synth", model, "--layers", "6", "--embd", "256", "--ffn", "1024", "--heads", "8",
                 "--kv-heads", "1", "--vocab", "2048", "--type", "f32"});
  write_ids(folder / "ids.json", std::vector<std::int32_t>(8000, 4));
  const ProcessOptions cut_soon{.watch_for = "\"prefill\"", .on_seen = [&](int) {
                                  std::filesystem::resize_file(model, 1 << 20);
                                }};
  const ProcessResult result = windlass({"logits", "-m", model, "--ids", folder / "ids.json", "-o",
                                         out, "--ram", "16MiB", "-ub", "16", "--progress", "json"},
                                        cut_soon);
  INFO(result.err);
  CHECK(result.exit_status == 1);
  CHECK_THAT(result.err, Contains("windlass: error: ") && Contains("model.gguf"));
  CHECK(folder.n_files() == 2);  // the inputs
}

TEST_CASE("what this build does not run is named with what it does") {
  const Folder folder;
  {
    GgufWriter writer(folder / "mamba.gguf");
    writer.add_metadata("general.architecture", std::string("mamba"));
    writer.add_tensor("token_embd.weight", DType::kF32, {4, 32});
    writer.begin_data();
    writer.skip_data();
    writer.finish();
  }
  check({run_with(folder / "mamba.gguf", {"-p", "x"}), 1, "mamba"});
  check({run_with(folder / "mamba.gguf", {"-p", "x"}), 1, "llama"});
}

TEST_CASE("a budget that is too small says the least that works") {
  const Folder folder;
  write_ids(folder / "ids.json", {1, 2, 3});
  const std::string out = folder / "out.npy";
  check({run_with(golden_model("llama"), {"--ids", folder / "ids.json", "--ram", "64KiB"}), 1,
         "--ram"});
  check({{"logits", "-m", golden_model("llama"), "--ids", folder / "ids.json", "--ram", "64KiB",
          "-o", out},
         1,
         "--ram"});
  CHECK_FALSE(std::filesystem::exists(out));
}

TEST_CASE("synth refuses shapes that cannot be, and leaves nothing behind") {
  const Folder folder;
  const std::string out = folder / "out.gguf";
  const auto synth = [&](const Arguments& more) {
    Arguments arguments = {"synth", out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  check({synth({"--preset", "llama-2b"}), 2, "unknown preset llama-2b; the nearest is llama-1b"});
  check({synth({"--preset", "llama-1b", "--layers", "3"}), 2, "--preset"});
  check({synth({"--preset", "llama-1b", "--type", "q9"}), 2, "--type q9"});
  check({synth({"--layers", "1"}), 2, "--embd"});
  check({synth({"--layers", "1", "--embd", "40", "--ffn", "64", "--heads", "2", "--vocab", "8",
                "--head-dim", "16"}),
         2, "no multiple of the 32"});
  check({synth({"--layers", "1", "--embd", "64", "--ffn", "64", "--heads", "3", "--kv-heads", "2",
                "--vocab", "8"}),
         2, "--kv-heads"});
  check({synth({"--preset", "llama-1b", "--tokenizer", folder / "absent.gguf"}), 1, "absent.gguf"});
  CHECK(folder.empty());
}

TEST_CASE("an output is never renamed over a device, a folder or the model") {
  const std::string model = golden_model("llama");
  for (const std::string& target : {std::string("/dev/null"), std::string("/tmp"), model}) {
    CAPTURE(target);
    const ProcessResult result = windlass({"logits", "-m", model, "-p", "x", "-o", target});
    CHECK(result.exit_status == 2);
    CHECK_THAT(result.err, Contains("name "));
  }
  CHECK(std::filesystem::is_character_file("/dev/null"));
  CHECK(std::filesystem::file_size(model) > 100000);
}

TEST_CASE("output to a closed pipe is an error, not a crash") {
  const ProcessResult result =
      windlass({"info", "-m", golden_model("llama")}, {.close_output = true});
  CHECK(result.signal == 0);
  CHECK(result.exit_status == 1);
  CHECK_THAT(result.err, Contains("standard output"));
}

}  // namespace
TEST_CASE("a file name with control bytes is shown in one line") {
  const ProcessResult result = windlass({"info", "-m", "no\nsuch\x1b[31mfile"});
  CHECK(result.exit_status != 0);
  CHECK_THAT(result.err, Contains("no\\x0asuch\\x1b[31mfile"));
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
}

TEST_CASE("an integer of the tools that does not fit is named with its file") {
  const Folder folder;
  for (const char* number : {"12345678901234567890", "123456789012345678901234"}) {
    write_bytes(folder / "tools.json", R"([{"a": )" + std::string(number) + "}]");
    check({{"run", "-m", golden_model("llama"), "-p", "x", "--ram", "64MiB", "--chat-template",
            "chatml", "--tools", folder / "tools.json"},
           2,
           std::string("tools.json: the integer ") + number + " has more than 64 bits"});
  }
}

}  // namespace windlass::test
