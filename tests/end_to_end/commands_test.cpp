// Each command's outside contract: what it prints, where settings come from, and how it ends.
#include <fstream>
#include <iterator>
#include <sstream>

#include "src/format/gguf.h"
#include "tests/end_to_end/program.h"
#include "tests/support/catch.h"

namespace windlass::test {
namespace {

std::string origin_of(const nlohmann::json& plan, const std::string& key) {
  return plan["configuration"][key]["origin"];
}
std::string value_of(const nlohmann::json& plan, const std::string& key) {
  return plan["configuration"][key]["value"];
}

TEST_CASE("help and version are data on standard output") {
  CHECK_THAT(windlass({"--version"}).out, Contains("windlass 0."));
  CHECK_THAT(windlass({"-h"}).out, Contains("perplexity"));
  const ProcessResult help = windlass({"run", "-h"});
  CHECK(help.exit_status == 0);
  CHECK_THAT(help.out, Contains("--ram"));
  CHECK_THAT(help.out, Contains("(-ctk)"));
}

TEST_CASE(
    "a setting comes from the command line, the environment, the config file or the default, in "
    "that order") {
  const Folder folder;
  write_bytes(folder / "a.toml",
              "ram = \"64MiB\"\nctx-size = 256\nexact = true\nubatch-size = 16\ntemp = 0.5\n");
  const Arguments plan = {"plan", "-m", golden_model("llama"), "--config", folder / "a.toml",
                          "-c",   "128"};
  const auto json =
      windlass_json(plan, {.environment = {"WINDLASS_RAM=32MiB", "WINDLASS_CTX_SIZE=64"}});
  CHECK(value_of(json, "ctx-size") == "128");
  CHECK(origin_of(json, "ctx-size") == "command line");
  CHECK(value_of(json, "ram") == "32MiB");
  CHECK(origin_of(json, "ram") == "environment");
  CHECK(value_of(json, "ubatch-size") == "16");
  CHECK(origin_of(json, "ubatch-size") == "config");
  CHECK(value_of(json, "exact") == "true");
  CHECK(value_of(json, "vram") == "auto");
  CHECK(origin_of(json, "vram") == "default");
}

TEST_CASE("llama.cpp's short flags mean the long ones") {
  const auto json = windlass_json(
      {"plan", "-m", golden_model("llama"), "-ub", "8", "-ctk", "f32", "-ctv", "f32", "-t", "1"});
  CHECK(value_of(json, "ubatch-size") == "8");
  CHECK(value_of(json, "cache-type-k") == "f32");
  CHECK(value_of(json, "threads") == "1");
}

TEST_CASE("a config file with an unknown key or bad syntax is refused with its line") {
  const Folder folder;
  write_bytes(folder / "key.toml", "ctx-size = 4\nrma = \"1GiB\"\n");
  write_bytes(folder / "syntax.toml", "ram =\n");
  write_bytes(folder / "value.toml", "ctx-size = \"many\"\n");
  const auto plan = [&](const std::string& name) {
    return windlass({"plan", "-m", golden_model("llama"), "--config", folder / name});
  };
  const ProcessResult key = plan("key.toml");
  CHECK(key.exit_status == 2);
  CHECK_THAT(key.err, Contains("line 2: rma: unknown key; the nearest is ram"));
  CHECK(plan("syntax.toml").exit_status == 2);
  CHECK_THAT(plan("syntax.toml").err, Contains("syntax.toml: line 1"));
  CHECK(plan("value.toml").exit_status == 2);
  CHECK_THAT(plan("value.toml").err, Contains("ctx-size"));
  CHECK(plan("absent.toml").exit_status == 1);
}

TEST_CASE("the shipped configs load") {
  for (const auto& entry : std::filesystem::directory_iterator(WINDLASS_SOURCE_DIR "/configs")) {
    if (!entry.is_regular_file()) continue;
    INFO(entry.path());
    windlass_json({"plan", "-m", golden_model("llama"), "--config", entry.path().string()});
  }
}

TEST_CASE("run --json gives ids, text, reason and receipt, and --stats writes the same receipt") {
  const Folder folder;
  write_ids(folder / "ids.json", {5, 6, 7});
  const auto json = windlass_json({"run", "-m", golden_model("llama"), "--raw", "--ids",
                                   folder / "ids.json", "-n", "4", "--temp", "0", "--stats",
                                   folder / "stats.json", "--trace", folder / "trace.json"});
  CHECK(json["prompt_ids"] == nlohmann::json({5, 6, 7}));
  CHECK(json["ids"].size() == 4);
  CHECK(json["finish_reason"] == "length");
  const auto& receipt = json["receipt"];
  CHECK(receipt["prompt_tokens"] == 3);
  CHECK(receipt["generated_tokens"] == 4);
  CHECK(receipt["tiers"]["host"]["peak_bytes"] > 0);
  CHECK(receipt["decode"]["steps"] == 3);
  for (const char* key : {"tokens", "wall_s", "tok_s", "predicted_s_per_step", "bound_s_per_step",
                          "achieved_s_per_step", "of_bound", "bottleneck", "links"}) {
    CHECK(receipt["decode"].contains(key));
    CHECK(receipt["prefill"].contains(key));
  }
  CHECK(nlohmann::json::parse(read_bytes(folder / "stats.json")) == receipt);
  CHECK(nlohmann::json::parse(read_bytes(folder / "trace.json")).is_object());
}

TEST_CASE("ids come from standard input too, and a seed repeats its choices") {
  const Arguments run = {"run",     "-m",      golden_model("llama"),
                         "--raw",   "--ids",   "-",
                         "-n",      "12",      "--temp",
                         "1.5",     "--top-k", "0",
                         "--top-p", "1",       "--min-p",
                         "0"};
  const ProcessOptions options{.input = "[9, 8, 7]"};
  const auto with_seed = [&](const char* seed) {
    Arguments arguments = run;
    arguments.insert(arguments.end(), {"--seed", seed});
    return windlass_json(arguments, options)["ids"];
  };
  CHECK(with_seed("1") == with_seed("1"));
  CHECK(with_seed("1") != with_seed("2"));
}

TEST_CASE("a prompt of exactly the context gives one token") {
  const Folder folder;
  write_ids(folder / "ids.json", std::vector<std::int32_t>(64, 3));
  const auto json = windlass_json({"run", "-m", golden_model("llama"), "--raw", "--ids",
                                   folder / "ids.json", "-c", "64", "-n", "5", "--temp", "0"});
  CHECK(json["ids"].size() == 1);
  CHECK(json["finish_reason"] == "length");
}

TEST_CASE("a context is exactly what -c says, and the receipt says when it ended the text") {
  const Folder folder;
  write_ids(folder / "ids.json", {1, 2, 3, 4, 5});
  const auto run = [&](const char* context) {
    return windlass({"run", "-m", golden_model("llama"), "--raw", "--ids", folder / "ids.json",
                     "-c", context, "-n", "3", "--temp", "0", "--json"});
  };
  const auto ids = [&](const char* context) {
    return nlohmann::json::parse(run(context).out)["ids"].size();
  };
  CHECK(run("4").exit_status == 1);
  CHECK_THAT(run("4").err, Contains("5 tokens and the context 4") && Contains("-c 7 (5 for one"));
  CHECK(ids("5") == 1);
  CHECK(ids("6") == 2);
  CHECK(ids("7") == 3);
  CHECK_THAT(run("6").out, Contains("the context of 6 tokens (-c) was full after 2 of 3 (-n)"));
  CHECK_THAT(run("7").out, !Contains("was full"));
  CHECK(windlass_json({"plan", "-m", golden_model("llama"), "-c", "65"})["context_tokens"] == 65);
}

TEST_CASE("a model without a tokenizer that is known runs on ids, and the receipt says so") {
  const Folder folder;
  write_ids(folder / "ids.json", {1, 2, 3});
  std::ifstream known(golden_model("llama"), std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(known)), {});
  const std::string model = folder / "unknown.gguf";
  // Its pre-tokenizer is "gpt-2".
  bytes[bytes.find("gpt-2", bytes.find("tokenizer.ggml.pre")) + 4] = '9';
  std::ofstream(model, std::ios::binary) << bytes;
  const std::string note = "no text comes out, only token ids";
  const ProcessResult run =
      windlass({"run", "-m", model, "--raw", "--ids", folder / "ids.json", "-n", "2"});
  CHECK(run.exit_status == 0);
  CHECK_THAT(run.err, Contains("note: " + note) && Contains("gpt-2"));
  const auto logits = windlass_json(
      {"logits", "-m", model, "--ids", folder / "ids.json", "-o", folder / "out.npy"});
  CHECK_THAT(logits["receipt"]["notes"].dump(), Contains(note));
}

TEST_CASE("heads of odd sizes run, and no budget changes what they say") {
  const Folder folder;
  write_ids(folder / "ids.json", {1, 2, 3, 4, 5, 6, 7, 8, 9});
  const std::vector<Arguments> shapes = {
      {"--embd", "160", "--heads", "4", "--kv-heads", "2", "--head-dim", "80", "--ffn", "224"},
      {"--embd", "96", "--heads", "3", "--kv-heads", "1", "--head-dim", "96", "--ffn", "32"},
      {"--embd", "64", "--heads", "16", "--kv-heads", "1", "--head-dim", "2", "--ffn", "96"},
      {"--embd", "32", "--heads", "1", "--head-dim", "256", "--ffn", "64"},
  };
  for (const Arguments& shape : shapes) {
    Arguments synth = {"synth", folder / "model.gguf", "--layers", "2", "--vocab", "301"};
    synth.insert(synth.end(), shape.begin(), shape.end());
    INFO(nlohmann::json(synth).dump());
    windlass_json(synth);
    const std::string whole = logits_bytes(folder / "model.gguf", folder / "ids.json", {});
    CHECK(logits_bytes(folder / "model.gguf", folder / "ids.json", {"-ub", "4", "-t", "1"}) ==
          whole);
    CHECK(logits_bytes(folder / "model.gguf", folder / "ids.json", {"--no-overlap"}) == whole);
    const auto scalar =
        as_floats(logits_bytes(folder / "model.gguf", folder / "ids.json", {"--isa", "scalar"}));
    CHECK(difference(as_floats(whole), scalar).max < 0.5);
  }
}

TEST_CASE("Ctrl-C ends a run with a receipt and 130, and leaves no half output of logits") {
  const Folder folder;
  const std::string model = folder / "model.gguf", out = folder / "out.npy";
  windlass_json({"synth", model, "--layers", "6", "--embd", "256", "--ffn", "1024", "--heads", "8",
                 "--vocab", "2048"});
  write_ids(folder / "few.json", {1, 2, 3});
  write_ids(folder / "many.json", std::vector<std::int32_t>(8000, 4));
  // Seconds of work are left when the first progress line shows.
  const ProcessOptions soon{.timeout_s = 300, .watch_for = "\"done\""};
  const ProcessResult run = windlass({"run", "-m", model, "--raw", "--ids", folder / "few.json",
                                      "-n", "8000", "--progress", "json", "--json"},
                                     soon);
  INFO(run.err);
  CHECK(run.exit_status == 130);
  const auto json = nlohmann::json::parse(run.out, nullptr, false);
  REQUIRE(json.is_object());
  CHECK(json["finish_reason"] == "interrupted");
  CHECK(json["ids"].size() < 8000);
  CHECK(json["receipt"].contains("decode"));

  const ProcessResult logits = windlass({"logits", "-m", model, "--ids", folder / "many.json", "-o",
                                         out, "--exact", "--progress", "json"},
                                        soon);
  INFO(logits.err);
  CHECK(logits.exit_status == 130);
  CHECK_THAT(logits.err, Contains("interrupted"));
  CHECK(folder.n_files() == 3);  // the inputs
}

TEST_CASE("tokenize needs a vocabulary only, and answers each line of --stdin") {
  const std::string vocabulary = golden("tokenizer/bpe4k-smollm.gguf");
  const auto first = windlass_json({"tokenize", "-m", vocabulary, "-p", "Hello world 42"});
  REQUIRE(first["ids"].size() > 2);
  const ProcessResult lines = windlass({"tokenize", "-m", vocabulary, "--stdin"},
                                       {.input = "\"Hello world 42\"\n\"a\\nb\\u0000c\"\n\"\""});
  INFO(lines.err);
  CHECK(lines.exit_status == 0);
  std::vector<nlohmann::json> answers;
  std::istringstream in(lines.out);
  for (std::string line; std::getline(in, line);) answers.push_back(nlohmann::json::parse(line));
  REQUIRE(answers.size() == 3);
  CHECK(answers[0] == first["ids"]);
  CHECK(answers[2].empty());

  const ProcessResult bad =
      windlass({"tokenize", "-m", vocabulary, "--stdin"}, {.input = "\"a\"\nb\n"});
  CHECK(bad.exit_status == 2);
  CHECK_THAT(bad.err, Contains("line 2 is not a JSON string"));
}

TEST_CASE("tokenize gives the golden ids, with and without special tokens") {
  const std::string vocabulary = golden("tokenizer/bpe4k-smollm.gguf");
  std::istringstream rows(read_bytes(golden("tokenizer/bpe4k-smollm.jsonl")));
  std::string parsed_input, plain_input;
  std::vector<nlohmann::json> parsed_ids, plain_ids;
  for (std::string line; std::getline(rows, line);) {
    const auto row = nlohmann::json::parse(line);
    if (row.value("add_special", false)) continue;
    const bool parse = row["parse_special"];
    (parse ? parsed_input : plain_input) += row["text"].dump() + "\n";
    (parse ? parsed_ids : plain_ids).push_back(row["ids"]);
  }
  const auto check_all = [&](const Arguments& arguments, const std::string& input,
                             const std::vector<nlohmann::json>& expected) {
    std::istringstream out(windlass(arguments, {.input = input}).out);
    std::size_t n = 0;
    for (std::string line; std::getline(out, line); ++n) {
      REQUIRE(n < expected.size());
      CHECK(nlohmann::json::parse(line) == expected[n]);
    }
    CHECK(n == expected.size());
  };
  check_all({"tokenize", "-m", vocabulary, "--stdin"}, parsed_input, parsed_ids);
  check_all({"tokenize", "-m", vocabulary, "--stdin", "--no-parse-special"}, plain_input,
            plain_ids);
}

TEST_CASE("info counts what is in the file, of a vocabulary too") {
  const auto json = windlass_json({"info", "-m", golden_model("llama_quants/Q8_0")});
  CHECK(json["architecture"] == "llama");
  CHECK(json["hyperparameters"]["embd"] == 256);
  CHECK(json["types"]["Q8_0"]["bytes"] > json["types"]["F32"]["bytes"]);
  CHECK(json["weight_bytes"] < std::filesystem::file_size(golden_model("llama_quants/Q8_0")));
  CHECK(json["bits_per_weight"].get<double>() == Approx(8.5).margin(0.2));
  CHECK(windlass_json({"info", "-m", golden("tokenizer/bpe4k-smollm.gguf")})["tensors"] == 0);
}

TEST_CASE("plan works on a header alone and follows the machine that it is told") {
  const Folder folder;
  const std::string model = folder / "header.gguf";
  const auto synth =
      windlass_json({"synth", model, "--preset", "llama-70b", "--type", "q4_0", "--header-only"});
  CHECK(synth["bytes"] > 35'000'000'000);
  const auto plan = [&](const std::string& what_if) {
    return windlass_json({"plan", "-m", model, "--ram", "8GiB", "--what-if", what_if});
  };
  const auto slow = plan("ram=16GiB,nvme=1GB/s"), fast = plan("ram=16GiB,nvme=4GB/s");
  CHECK(slow["bottleneck"] == "disk_to_host");
  CHECK(slow["min_ram_bytes"] > 0);
  CHECK(slow["steps"].contains("prefill"));
  CHECK(slow["predicted_s_per_step"] > 25.0);
  CHECK(fast["predicted_s_per_step"] < slow["predicted_s_per_step"]);
  CHECK(fast["bound_s_per_step"] <= fast["predicted_s_per_step"]);
}

TEST_CASE("plan looks at budgets of the machine that it is told, its GPU's among them") {
  const std::string model = golden_model("llama");
  const std::string box = std::string(WINDLASS_SOURCE_DIR) + "/configs/machines/rtx4090-ddr5.json";
  const auto plan = [&](const std::string& what_if, std::vector<std::string> more = {}) {
    std::vector<std::string> args = {"plan", "-m", model, "--what-if", what_if};
    args.insert(args.end(), more.begin(), more.end());
    return windlass(args);
  };
  CHECK(plan(box).exit_status == 0);
  CHECK(plan(box + ",pcie=50GB/s,gpu_tflops=300").exit_status == 0);
  CHECK_THAT(plan(box, {"--vram", "25GiB"}).err, Contains("25.00 GiB is more than the 24.00 GiB"));
  CHECK_THAT(plan(box, {"--ram", "65GiB"}).err, Contains("65.00 GiB is more than the 64.00 GiB"));
}

TEST_CASE("profile and doctor say what this machine is") {
  const Folder folder;
  const auto profile = windlass_json(
      {"profile", "--cache-dir", folder / "cache", "-o", folder / "hw.json", "--ram", "64MiB"});
  CHECK(profile == nlohmann::json::parse(read_bytes(folder / "hw.json")));
  windlass_json({"plan", "-m", golden_model("llama"), "--profile", folder / "hw.json"});
  windlass_json(
      {"plan", "-m", golden_model("llama"), "--what-if", (folder / "hw.json") + ",cores=64"});

  const auto findings = windlass_json({"doctor", "-m", golden_model("llama")})["findings"];
  std::vector<std::string> names;
  for (const auto& finding : findings) names.push_back(finding["name"]);
  CHECK(names ==
        std::vector<std::string>{"isa", "gpu", "memory", "memlock", "io_uring", "direct_io"});
  const auto scratch = windlass_json({"doctor", "--cache-dir", folder / "doctor"})["findings"];
  CHECK(scratch.size() == 6);
  CHECK(std::filesystem::is_empty(folder / "doctor"));
}

TEST_CASE("synth writes the shape that was asked for, with the tokenizer of another file") {
  const Folder folder;
  const std::string out = folder / "out.gguf", vocabulary = golden("tokenizer/bpe4k-smollm.gguf");
  const auto json =
      windlass_json({"synth", out, "--layers", "2", "--embd", "64", "--ffn", "128", "--heads", "4",
                     "--kv-heads", "2", "--tokenizer", vocabulary, "--tied", "--type", "q8_0"});
  CHECK(json["bytes"] == std::filesystem::file_size(out));
  const TensorTable table = read_gguf(out);
  CHECK(table.find("output.weight") == kNoTensor);
  CHECK(table.at(table.find("token_embd.weight")).shape == std::vector<std::int64_t>{4096, 64});
  CHECK(read_string_array(table, "tokenizer.ggml.merges") ==
        read_string_array(read_gguf(vocabulary), "tokenizer.ggml.merges"));
  const auto run = windlass_json(
      {"run", "-m", out, "--raw", "-p", "Hello", "-n", "8", "--temp", "0", "--ignore-eos"});
  CHECK(run["ids"].size() == 8);
  CHECK_FALSE(run["text"].get<std::string>().empty());
  const auto text_run =
      windlass({"run", "-m", out, "--raw", "-f", "-", "-n", "8", "--temp", "0", "--ignore-eos"},
               {.input = "Hello\n"});
  CHECK(text_run.out == run["text"].get<std::string>() + "\n");
  CHECK_THAT(text_run.err, Contains("decode"));
}

TEST_CASE("perplexity scores the second half of each window") {
  const Folder folder;
  const std::string model = folder / "model.gguf";
  windlass_json({"synth", model, "--layers", "2", "--embd", "64", "--ffn", "128", "--heads", "4",
                 "--kv-heads", "2", "--tokenizer", golden("tokenizer/bpe4k-smollm.gguf"), "--type",
                 "f32", "--embd-type", "f32"});
  std::string text;
  for (int i = 0; i < 200; ++i) text += "Line " + std::to_string(i) + " of a text.\n";
  write_bytes(folder / "text.txt", text);
  const auto n_tokens =
      windlass_json({"tokenize", "-m", model, "-p", text.substr(0, text.size() - 1)})["ids"].size();
  const auto json =
      windlass_json({"perplexity", "-m", model, "-f", folder / "text.txt", "-c", "64"});
  CHECK(json["n_scored"] == n_tokens / 64 * 31);
  // Random weights with logits of deviation about 1 are worse than guessing, but by a bounded
  // factor.
  CHECK(json["perplexity"] > 1000.0);
  CHECK(json["perplexity"] < 50000.0);
  const ProcessResult little =
      windlass({"perplexity", "-m", model, "-f", folder / "text.txt", "-c", "100000"});
  CHECK(little.exit_status == 2);
  CHECK_THAT(little.err, Contains("less than one window"));
}

}  // namespace
}  // namespace windlass::test
