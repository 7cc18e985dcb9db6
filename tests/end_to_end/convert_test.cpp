// windlass convert: what it writes runs, says what it could not do as asked, and refuses bad input.
#include "src/format/gguf.h"
#include "tests/end_to_end/program.h"
#include "tests/support/catch.h"
#include "tests/support/npy.h"

namespace windlass::test {
namespace {

// Mean deviation of a model's logits from those of the golden float model.
double deviation(const Folder& folder, const std::string& model, const std::string& ids) {
  const std::vector<float> expected =
      read_npy<float>(golden("models/llama/golden/prompt0.logits.npy"), "<f4").values;
  write_ids(folder / "ids.json", read_npy<std::int32_t>(ids, "<i4").values);
  return difference(as_floats(logits_bytes(model, folder / "ids.json", {"--exact"})), expected)
      .mean;
}

std::string type_of(const std::string& path, const char* tensor) {
  const TensorTable table = read_gguf(path);
  return std::string(dtype_info(table.at(table.find(tensor)).type).name);
}

TEST_CASE("converted models run, the closer to the float model the more bits they have") {
  const Folder folder;
  const std::string ids = golden("models/llama/golden/prompt0.ids.npy");
  double last = 0;
  for (const std::string type : {"f16", "q8_0", "q5_1", "q4_0"}) {
    const std::string out = folder / (type + ".gguf");
    const auto report =
        windlass_json({"convert", "-m", golden_model("llama"), out, "--type", type});
    CHECK(report["bytes"] == std::filesystem::file_size(out));
    const double error = deviation(folder, out, ids);
    INFO(type << ": " << error << " after " << last);
    CHECK(error > last);
    CHECK(error < 1.0);
    last = error;
  }
}

TEST_CASE("rows that 256 does not divide get another type, and convert says so") {
  const Folder folder;
  const std::string model = folder / "in.gguf", out = folder / "out.gguf";
  windlass_json({"synth", model, "--layers", "1", "--embd", "96", "--ffn", "256", "--heads", "4",
                 "--head-dim", "24", "--vocab", "64", "--type", "f16", "--embd-type", "f16"});
  const std::map<std::string, std::string> fallbacks = {
      {"q2_k", "Q4_0"}, {"q3_k", "Q4_0"}, {"q4_k", "Q5_0"}, {"q5_k", "Q5_1"}, {"q6_k", "Q8_0"}};
  for (const auto& [type, fallback] : fallbacks) {
    const auto report = windlass_json({"convert", "-m", model, out, "--type", type});
    INFO(type);
    CHECK(type_of(out, "blk.0.attn_q.weight") == fallback);
    CHECK(type_of(out, "output.weight") == "Q8_0");
    CHECK(dtype_by_name(type_of(out, "blk.0.ffn_down.weight")) == dtype_by_name(type));
    CHECK(report["fallbacks"].size() == 8);  // all matrices but ffn_down
    std::filesystem::remove(out);
  }
  const ProcessResult said = windlass({"convert", "-m", model, out, "--type", "q4_k"});
  CHECK_THAT(said.err, Contains("7 tensors with rows of 96 weights, which 256 does not divide: "
                                "Q5_0 instead of Q4_K"));
}

TEST_CASE("the output matrix has the type that was asked for") {
  const Folder folder;
  const std::string out = folder / "out.gguf";
  windlass_json(
      {"convert", "-m", golden_model("llama"), out, "--type", "q4_0", "--output-type", "bf16"});
  CHECK(type_of(out, "output.weight") == "BF16");
  CHECK(type_of(out, "token_embd.weight") == "Q4_0");
}

TEST_CASE("convert refuses what it cannot do, and leaves nothing behind") {
  const Folder folder;
  const std::string out = folder / "out.gguf", llama = golden_model("llama");
  const auto refused = [&](Arguments arguments, int status, const std::string& why) {
    arguments.insert(arguments.begin(), "convert");
    const ProcessResult result = windlass(arguments);
    INFO(result.err);
    CHECK(result.exit_status == status);
    CHECK_THAT(result.err, Contains(why));
    CHECK(folder.empty());
  };
  refused({"-m", llama, "--type", "q4_k"}, 2, "give a file and a type");
  refused({"-m", llama, out}, 2, "give a file and a type");
  refused({"-m", llama, out, "--type", "iq2_xs"}, 2, "--type iq2_xs: the nearest is");
  refused({"-m", llama, out, "--type", "q4_k", "--output-type", "q9"}, 2, "--output-type q9");
  refused({"-m", llama, out, "--type", "q4_k", "--ram", "1KiB"}, 1, "give --ram");
  refused({"-m", golden_model("llama_quants/Q8_0"), out, "--type", "q4_k"}, 1,
          "has the type Q8_0: only F32, F16 and BF16");
}

TEST_CASE("convert does not replace the model that it reads") {
  const Folder folder;
  const std::string model = folder / "model.gguf";
  std::filesystem::copy_file(golden_model("llama"), model);
  const ProcessResult result = windlass({"convert", "-m", model, model, "--type", "q8_0"});
  CHECK(result.exit_status == 2);
  CHECK(read_bytes(model) == read_bytes(golden_model("llama")));
}

TEST_CASE("a synthetic model of every weight type runs") {
  const Folder folder;
  write_ids(folder / "ids.json", {1, 2, 3, 4, 5});
  for (const std::string type :
       {"q5_0",   "q5_1",   "q2_k",    "q3_k",   "q4_k",  "q5_k",    "q6_k",
        "iq1_s",  "iq1_m",  "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s",
        "iq4_nl", "iq4_xs", "tq1_0",   "tq2_0",  "mxfp4", "nvfp4"}) {
    const std::string model = folder / "model.gguf";
    windlass_json({"synth", model, "--layers", "2", "--embd", "256", "--ffn", "512", "--heads", "4",
                   "--vocab", "300", "--type", type, "--embd-type", type});
    CHECK(windlass_json({"info", "-m", model})["types"].size() == 2);
    INFO(type);
    const std::vector<float> logits = as_floats(logits_bytes(model, folder / "ids.json", {}));
    double squares = 0;
    for (const float logit : logits) squares += static_cast<double>(logit) * logit;
    const double size = std::sqrt(squares / static_cast<double>(logits.size()));
    CHECK(size > 0.1);  // weights keep the scale of what they multiply
    CHECK(size < 10);
  }
}

}  // namespace
}  // namespace windlass::test
