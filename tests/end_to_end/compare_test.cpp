// windlass compare: two sides of a text, by models, by settings, and by logits that were kept.
#include <cmath>

#include "tests/end_to_end/program.h"
#include "tests/support/catch.h"

namespace windlass::test {
namespace {

struct Inputs {
  Inputs() : ids(folder / "ids.json"), a(golden_model("llama")) {
    std::vector<std::int32_t> tokens;
    for (int i = 0; i < 300; ++i) tokens.push_back((i * 37 + i / 7) % 256);
    write_ids(ids, tokens);
  }
  Arguments compare(const Arguments& more) const {
    Arguments arguments = {"compare", "--ids", ids, "-c", "64", "--cache-dir", folder / "cache"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  Folder folder;
  std::string ids, a;
};

double mean(const nlohmann::json& estimate) { return estimate["mean"].get<double>(); }

void check_nothing_between(const nlohmann::json& json) {
  for (const char* key : {"kl", "nll_difference"}) {
    INFO(key);
    CHECK(mean(json[key]) == 0);
    CHECK(json[key]["ci95"] == nlohmann::json({0.0, 0.0}));
  }
  CHECK(json["kl"]["max"] == 0.0);
  CHECK(mean(json["perplexity_ratio"]) == 1);
  CHECK(mean(json["same_top"]) == 1);
}

TEST_CASE("a model has nothing between it and itself, in any budget") {
  const Inputs in;
  const auto json = windlass_json(in.compare({"-m", in.a, "-m", in.a}));
  check_nothing_between(json);
  CHECK(json["n_scored"] == 300 / 64 * 31);
  CHECK(json["a"]["fingerprint"] == json["b"]["fingerprint"]);
  CHECK(json.contains("receipt"));
  CHECK(json.contains("receipt_a"));
  check_nothing_between(
      windlass_json(in.compare({"-m", in.a, "--settings", "--threads 1 --no-overlap"})));
  CHECK(std::filesystem::is_empty(in.folder / "cache"));  // the file between the sides is gone
  const auto perplexity = windlass_json({"perplexity", "-m", in.a, "--ids", in.ids, "-c", "64"});
  CHECK(mean(json["a"]["perplexity"]) == Approx(perplexity["perplexity"].get<double>()));
}

TEST_CASE("two settings of a model differ by a little, two models by much") {
  const Inputs in;
  const auto settings = windlass_json(in.compare(
      {"-m", in.a, "-ctk", "f16", "-ctv", "f16", "--settings", "exact -ctk f32 -ctv f32"}));
  CHECK(mean(settings["kl"]) > 0);
  CHECK(mean(settings["kl"]) < 1e-4);
  CHECK(settings["a"]["settings"].get<std::string>() != settings["b"]["settings"]);
  const auto models = windlass_json(in.compare({"-m", in.a, "-m", golden_model("llama3_rope")}));
  CHECK(mean(models["kl"]) > 0.1);
  CHECK(mean(models["same_top"]) < 0.5);
  const double low = models["kl"]["ci95"][0], high = models["kl"]["ci95"][1];
  CHECK(low < mean(models["kl"]));
  CHECK(high > mean(models["kl"]));
  CHECK(mean(models["nll_difference"]) ==
        Approx(std::log(mean(models["b"]["perplexity"]) / mean(models["a"]["perplexity"]))));
  const auto text = windlass(in.compare({"-m", in.a, "-m", golden_model("llama3_rope")}));
  CHECK(text.exit_status == 0);
  for (const char* line : {"Mean PPL(B)/PPL(A)", "Mean KLD", "99.0 % KLD", "Median KLD",
                           "Maximum KLD", "Same top token"}) {
    CHECK_THAT(text.out, Contains(line));
  }
}

TEST_CASE("logits that were kept stand for the model that made them") {
  const Inputs in;
  const std::string kept = in.folder / "a.logits", other = golden_model("llama3_rope");
  const auto saved = windlass_json(in.compare({"-m", in.a, "--save-logits", kept}));
  CHECK(mean(saved["a"]["perplexity"]) > 1);
  CHECK_FALSE(saved.contains("b"));
  const auto direct = windlass_json(in.compare({"-m", in.a, "-m", other}));
  for (const Arguments& models : std::vector<Arguments>{{"-m", other}, {"-m", in.a, "-m", other}}) {
    Arguments flags = models;
    flags.insert(flags.end(), {"--logits", kept});
    const auto later = windlass_json(in.compare(flags));
    for (const char* key : {"kl", "nll_difference", "same_top"}) CHECK(later[key] == direct[key]);
    CHECK(later["a"]["fingerprint"] == direct["a"]["fingerprint"]);
    CHECK_FALSE(later.contains("receipt_a"));
  }
  check_nothing_between(windlass_json(in.compare({"-m", in.a, "--logits", kept})));
  // Kept on the way of a comparison too.
  windlass_json(in.compare({"-m", in.a, "-m", other, "--save-logits", in.folder / "b.logits"}));
  CHECK(read_bytes(kept) == read_bytes(in.folder / "b.logits"));
}

TEST_CASE("both sides stay within the budget, and one too small is refused with the least") {
  const Inputs in;
  const Folder folder;
  const std::string model = folder / "model.gguf";
  windlass_json({"synth", model, "--layers", "6", "--embd", "256", "--ffn", "1024", "--heads", "8",
                 "--kv-heads", "2", "--head-dim", "32", "--vocab", "2048", "--type", "q8_0"});
  const auto json =
      windlass_json(in.compare({"-m", model, "-m", model, "--ram", "8MiB", "-ub", "16"}));
  check_nothing_between(json);
  for (const char* receipt : {"receipt", "receipt_a"}) {
    CHECK(json[receipt]["tiers"]["host"]["peak_bytes"] <= 8 << 20);
    CHECK(json[receipt]["prefill"]["links"]["disk_to_host"]["bytes"] > 0);
  }
  const ProcessResult refused = windlass(in.compare({"-m", model, "-m", model, "--ram", "1MiB"}));
  CHECK(refused.exit_status == 1);
  CHECK_THAT(refused.err, Contains("the least that works for both is --ram"));
}

TEST_CASE("a recall probe scores the planted string alone, on one side or on two") {
  const Inputs in;
  const Arguments probe = {"compare",  "--ids", in.ids, "--recall", "40",
                           "--chunks", "3",     "-m",   in.a};
  const auto json = windlass_json(probe);
  CHECK(json["n_scored"] == 3 * 13);
  CHECK(json["recall_distance_tokens"] == 40);
  CHECK(json["window_tokens"] == 8 + 16 + 40 + 16);
  CHECK(mean(json["a"]["top_is_target"]) <= 0.2);  // random weights know no copying
  Arguments both = probe;
  both.insert(both.end(), {"--settings", "-ub 1", "--cache-dir", in.folder / "cache"});
  const auto sides = windlass_json(both);
  CHECK(sides["a"]["top_is_target"] == json["a"]["top_is_target"]);
  CHECK(mean(sides["kl"]) < 1e-3);
  Arguments seeded = probe;
  seeded.insert(seeded.end(), {"--seed", "2"});
  CHECK(windlass_json(seeded)["a"]["nll"] != json["a"]["nll"]);
}

void check_refused(const Arguments& arguments, int status, const std::string& says) {
  const ProcessResult result = windlass(arguments);
  INFO(nlohmann::json(arguments).dump() << "\n" << result.err);
  CHECK(result.exit_status == status);
  CHECK_THAT(result.err, Contains(says));
  CHECK(result.err.starts_with("windlass: error: "));
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
  CHECK(result.out.empty());
}

TEST_CASE("sides that make no comparison are refused in a line") {
  const Inputs in;
  const std::string kept = in.folder / "a.logits", other = golden_model("llama3_rope");
  windlass_json(in.compare({"-m", in.a, "--save-logits", kept}));
  check_refused(in.compare({}), 2, "no model given");
  check_refused(in.compare({"-m", in.a}), 2, "nothing to compare with");
  check_refused(in.compare({"-m", in.a, "-m", in.a, "-m", in.a}), 2, "two sides");
  check_refused(
      in.compare({"-m", in.a, "-m", golden_model("llama_quants/Q8_0"), "--settings", "--exakt"}), 2,
      "unknown flag --exakt; the nearest is --exact");
  check_refused(in.compare({"-m", in.a, "--settings", "--ram 1GiB"}), 2, "unknown flag --ram");
  check_refused(in.compare({"-m", in.a, "--settings", " "}), 2, "--settings is empty");
  check_refused(in.compare({"-m", in.a, "--settings", "-ctk f31"}), 2, "f31");
  check_refused(in.compare({"-m", in.a, "--logits", kept, "--save-logits", in.folder / "b"}), 2,
                "--save-logits cannot act");
  check_refused(in.compare({"-m", in.a, "-m", other, "-c", "400"}), 2, "less than one window");
  check_refused(in.compare({"-m", in.a, "-m", other, "--chunks", "-1"}), 2, "--chunks");
  check_refused(in.compare({"-m", in.a, "--recall", "40"}), 2, "-c cannot act with --recall");
  check_refused({"compare", "--ids", in.ids, "-m", in.a, "--recall", "-5"}, 2, "--recall -5");
  check_refused({"compare", "--ids", in.ids, "-m", in.a, "--recall", "500"}, 2, "508");
  check_refused({"compare", "-m", in.a, "-m", other}, 2, "no text given");
  windlass_json({"synth", in.folder / "ids-only.gguf", "--layers", "1", "--embd", "64", "--ffn",
                 "64", "--heads", "2", "--vocab", "256"});
  check_refused({"compare", "-m", in.folder / "ids-only.gguf", "-m", in.a, "-f", in.ids}, 1,
                "give token ids with --ids");
}

TEST_CASE("kept logits of another model, text, window or vocabulary are refused in a line") {
  const Inputs in;
  const std::string kept = in.folder / "a.logits", other = golden_model("llama3_rope");
  windlass_json(in.compare({"-m", in.a, "--save-logits", kept}));
  const Arguments with_kept = {"-m", other, "--logits", kept};
  const auto and_more = [&](Arguments more) {
    more.insert(more.begin(), with_kept.begin(), with_kept.end());
    return in.compare(more);
  };
  check_refused(in.compare({"-m", other, "-m", in.a, "--logits", kept}), 2, "another model");
  check_refused(in.compare({"-m", other, "--settings", "exact", "--logits", kept}), 2,
                "another model");
  check_refused(and_more({"-c", "32"}), 2, "windows of 64 tokens, asked for are 32");
  check_refused(and_more({"--chunks", "2"}), 2, "holds 4 windows");
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < 300; ++i) tokens.push_back(i % 250);
  write_ids(in.ids, tokens);
  check_refused(and_more({}), 2, "another text");
  const Folder folder;
  windlass_json({"synth", folder / "wide.gguf", "--layers", "1", "--embd", "64", "--ffn", "64",
                 "--heads", "2", "--vocab", "300"});
  check_refused(in.compare({"-m", in.a, "-m", folder / "wide.gguf"}), 2, "a vocabulary of");
  check_refused(in.compare({"-m", folder / "wide.gguf", "--logits", kept}), 2, "a vocabulary of");
  std::string bytes = read_bytes(kept);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  write_bytes(folder / "damaged", bytes);
  check_refused(in.compare({"-m", other, "--logits", folder / "damaged"}), 1, "damaged");
  write_bytes(folder / "cut", bytes.substr(0, bytes.size() - 10));
  check_refused(in.compare({"-m", other, "--logits", folder / "cut"}), 1, "another size");
  check_refused(in.compare({"-m", other, "--logits", in.a}), 1, "not a file of saved logits");
  check_refused(in.compare({"-m", other, "--logits", folder / "absent"}), 1, "absent");
  check_refused(in.compare({"-m", in.a, "--save-logits", in.ids}), 2, "would replace");
  check_refused(in.compare({"-m", in.a, "-m", other, "--save-logits", other}), 2, "would replace");
}

TEST_CASE("vocabularies of the same size but other tokens are told apart") {
  const Folder folder;
  const auto synth = [&](const std::string& name, const std::string& tokenizer) {
    windlass_json({"synth", folder / name, "--layers", "1", "--embd", "64", "--ffn", "64",
                   "--heads", "2", "--tokenizer", golden("tokenizer/" + tokenizer)});
    return folder / name;
  };
  const std::string a = synth("a.gguf", "bpe4k-smollm.gguf");
  const std::string b = synth("b.gguf", "bpe4k-falcon.gguf");
  const std::string same = synth("same.gguf", "bpe4k-smollm.gguf");
  write_bytes(folder / "text.txt", read_bytes(golden("smollm2/ppl.txt")).substr(0, 3000));
  const Arguments text = {"-f", folder / "text.txt", "-c", "64", "--cache-dir", folder / "cache"};
  const auto with = [&](const std::string& first, const std::string& second) {
    Arguments arguments = {"compare", "-m", first, "-m", second};
    arguments.insert(arguments.end(), text.begin(), text.end());
    return arguments;
  };
  check_refused(with(a, b), 2, "different tokens");
  CHECK(windlass(with(a, same)).exit_status == 0);
}

TEST_CASE("a text that something was calibrated on is not scored") {
  const Folder folder;
  const std::string model = folder / "model.gguf", whole = read_bytes(golden("smollm2/ppl.txt"));
  windlass_json({"synth", model, "--layers", "1", "--embd", "64", "--ffn", "64", "--heads", "2",
                 "--tokenizer", golden("tokenizer/bpe4k-smollm.gguf")});
  write_bytes(folder / "calibration.txt", whole.substr(0, 9000));
  write_bytes(folder / "overlapping.txt", whole.substr(8000, 9000));
  write_bytes(folder / "apart.txt", whole.substr(20000, 9000));
  write_bytes(folder / "other.txt", "A text of other words.\n");
  for (const Arguments& command :
       std::vector<Arguments>{{"perplexity", "-m", model}, {"compare", "-m", model, "-m", model}}) {
    const auto with = [&](const std::string& text) {
      Arguments arguments = command;
      arguments.insert(arguments.end(), {"-f", folder / text, "-c", "64", "--cache-dir",
                                         folder / "cache", "--calibrated-on", folder / "other.txt",
                                         "--calibrated-on", folder / "calibration.txt"});
      return arguments;
    };
    check_refused(with("calibration.txt"), 2, "shares a passage with the calibration text");
    check_refused(with("overlapping.txt"), 2, "calibration.txt");
    CHECK(windlass(with("apart.txt")).exit_status == 0);
  }
  write_ids(folder / "ids.json", std::vector<std::int32_t>(100, 5));
  check_refused({"perplexity", "-m", model, "--ids", folder / "ids.json", "-c", "64",
                 "--calibrated-on", folder / "other.txt"},
                2, "--calibrated-on cannot act on --ids");
}

TEST_CASE("perplexity takes ids, and a tokenizer of another size than the embedding is refused") {
  const Inputs in;
  const auto json =
      windlass_json({"perplexity", "-m", in.a, "--ids", in.ids, "-c", "64", "--chunks", "2"});
  CHECK(json["n_scored"] == 62);
  const Folder folder;
  for (const char* name : {"config.json", "model.safetensors"}) {
    std::filesystem::copy(golden(std::string("models/gemma2/") + name), folder / name);
  }
  std::filesystem::copy(golden("tokenizer/hf/llama3.json"), folder / "tokenizer.json");
  write_bytes(folder / "text.txt", read_bytes(golden("smollm2/ppl.txt")).substr(0, 3000));
  check_refused({"perplexity", "-m", folder.path().string(), "-f", folder / "text.txt", "-c", "64"},
                1, "'token_embd.weight' 512 rows");
}

}  // namespace
}  // namespace windlass::test
