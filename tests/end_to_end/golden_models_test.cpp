// Logits and greedy tokens of the tiny golden models, through the program, within the tolerances of
// the golden data.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>

#include "tests/end_to_end/program.h"
#include "tests/support/catch.h"
#include "tests/support/npy.h"

namespace windlass::test {
namespace {

struct Tolerance {
  double max, mean;
};
constexpr Tolerance kFloat32{2e-4, 2e-5};
constexpr Tolerance kF16Cache{6e-2, 5e-3};
constexpr Tolerance kBf16Arithmetic{2e-1, 2e-2};
constexpr Tolerance kQuantisedFloat32{5e-4, 5e-5};
constexpr Tolerance kQuantisedInt8{5e-1, 8e-2};

std::string prompt_file(const std::string& model, int prompt, const char* what) {
  return golden("models/" + model + "/golden/prompt" + std::to_string(prompt) + "." + what +
                ".npy");
}

// One of each architecture, and of each variant that the golden data have as a GGUF.
const std::vector<std::string> kFloatModels = {
    "llama",
    "llama3_rope",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma2",
    "gemma3",
    "phi3",
    "phi3_longrope_long",
    "phi3_longrope_short",
    "falcon",
    "falcon_new",
    "gpt2",
    "starcoder2",
    "stablelm",
    "mixtral",
    "qwen3moe",
    "deepseek2",
};

// What stands for the Hugging Face folder itself.
const std::string kFolder;

// All golden folders, those that no GGUF can hold too.
const std::vector<std::string> kFolders = {
    "llama",
    "llama3_rope",
    "mistral",
    "mistral_swa",
    "qwen2",
    "qwen3",
    "gemma2",
    "gemma3",
    "phi3",
    "phi3_longrope_long",
    "phi3_longrope_short",
    "falcon",
    "falcon_new",
    "gpt2",
    "opt",
    "starcoder2",
    "stablelm",
    "mixtral",
    "qwen3moe",
    "deepseek2",
};

// A rounding flips the choice of experts where two nearly tie: there a position may be off by more.
bool chooses_experts(const std::string& model) {
  return model == "mixtral" || model == "qwen3moe" || model == "deepseek2";
}

// Positions of the logits with an element further off than the tolerance.
int positions_off(const std::vector<float>& logits, const std::vector<float>& expected,
                  double tolerance) {
  constexpr std::size_t kVocabulary = 512;
  int off = 0;
  for (std::size_t row = 0; row < logits.size(); row += kVocabulary) {
    double worst = 0;
    for (std::size_t i = row; i < row + kVocabulary; ++i) {
      worst = std::max(worst, std::abs(static_cast<double>(logits[i] - expected[i])));
    }
    off += worst > tolerance ? 1 : 0;
  }
  return off;
}

void check_logits(const std::string& model, const Arguments& flags, const Tolerance& tolerance,
                  const std::string& file = "model.gguf") {
  for (int prompt = 0; prompt < 2; ++prompt) {
    const Folder folder;
    write_ids(folder / "ids.json",
              read_npy<std::int32_t>(prompt_file(model, prompt, "ids"), "<i4").values);
    const auto expected = read_npy<float>(prompt_file(model, prompt, "logits"), "<f4");
    const auto logits =
        as_floats(logits_bytes(golden("models/" + model + "/" + file), folder / "ids.json", flags));
    const auto error = difference(logits, expected.values);
    INFO(model << " prompt " << prompt << ": max " << error.max << ", mean " << error.mean);
    const bool may_flip = chooses_experts(model) && tolerance.max > kFloat32.max;
    const auto positions = static_cast<int>(logits.size() / 512);
    CHECK(positions_off(logits, expected.values, tolerance.max) <=
          (may_flip ? (positions + 99) / 100 : 0));
    CHECK(error.mean <= tolerance.mean);
  }
}

// Tokens must agree up to the first choice whose margin is below twice the tolerance.
void check_greedy(const std::string& model, const Arguments& flags, const Tolerance& tolerance,
                  const std::string& file = "model.gguf") {
  const auto reference =
      nlohmann::json::parse(read_bytes(golden("models/" + model + "/golden.json")));
  for (int prompt = 0; prompt < 2; ++prompt) {
    const Folder folder;
    write_ids(folder / "ids.json",
              read_npy<std::int32_t>(prompt_file(model, prompt, "ids"), "<i4").values);
    const std::string path = golden("models/" + model + "/" + file);
    Arguments arguments = {"run",    "-m", path,          "--raw",
                           "--temp", "0",  "--ids",       folder / "ids.json",
                           "-n",     "32", "--ignore-eos"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const auto answer = windlass_json(arguments);
    const auto& expected = reference["prompts"][static_cast<std::size_t>(prompt)];
    REQUIRE(answer["ids"].size() == 32);
    CHECK(answer["finish_reason"] == "length");
    std::size_t sure = 0;
    while (sure < 32 && expected["greedy_margin"][sure].get<double>() >= 2 * tolerance.max) ++sure;
    INFO(model << " prompt " << prompt << ", " << sure << " sure tokens");
    for (std::size_t i = 0; i < sure; ++i) CHECK(answer["ids"][i] == expected["greedy"][i]);
  }
}

const Arguments kExactF32 = {"--exact", "-ctk", "f32", "-ctv", "f32"};

TEST_CASE("float32 models give the golden logits with float32 activations and cache") {
  for (const std::string& model : kFloatModels) check_logits(model, kExactF32, kFloat32);
}

TEST_CASE("a half-precision cache stays within its tolerance") {
  check_logits("llama", {"--exact"}, kF16Cache);
  for (const std::string& model : kFloatModels) check_logits(model, {}, kF16Cache);
}

// llama.cpp with -ctk q8_0 -ctv q8_0 -fa on on the same GGUFs deviates from the golden logits by
// 0.09 to 0.20 at most and by 0.011 to 0.017 in the mean (gemma2, gemma3, mistral, qwen3); with f32
// queries it is less.
constexpr Tolerance kQ8Cache{2e-1, 1.8e-2}, kQ8CacheExact{1.4e-1, 1.6e-2};

TEST_CASE("a q8_0 cache deviates no more than llama.cpp's") {
  for (const std::string model : {"gemma2", "gemma3", "mistral", "qwen3"}) {
    check_logits(model, {"-ctk", "q8_0", "-ctv", "q8_0"}, kQ8Cache);
    check_logits(model, {"--exact", "-ctk", "q8_0", "-ctv", "q8_0"}, kQ8CacheExact);
    check_logits(model, {"-ctk", "q8_0", "-ctv", "f16"}, kQ8Cache);
    check_logits(model, {"-ctk", "f32", "-ctv", "q8_0"}, kQ8Cache);
    check_logits(model, {"-ctk", "bf16", "-ctv", "bf16"}, kQ8Cache);
  }
}

TEST_CASE("Hugging Face folders give the golden logits and greedy tokens") {
  for (const std::string& model : kFolders) {
    check_logits(model, kExactF32, kFloat32, kFolder);
    check_greedy(model, kExactF32, kFloat32, kFolder);
    check_logits(model, {}, kBf16Arithmetic, kFolder);
  }
}

TEST_CASE("a folder and the GGUF of the same model agree") {
  for (const std::string& model : kFolders) {
    if (!std::filesystem::exists(golden_model(model))) continue;  // no GGUF can hold it
    const Folder folder;
    write_ids(folder / "ids.json",
              read_npy<std::int32_t>(prompt_file(model, 1, "ids"), "<i4").values);
    const auto error = difference(
        as_floats(logits_bytes(golden("models/" + model), folder / "ids.json", kExactF32)),
        as_floats(logits_bytes(golden_model(model), folder / "ids.json", kExactF32)));
    INFO(model << ": max " << error.max << ", mean " << error.mean);
    CHECK(error.max <= kFloat32.max / 4);
    CHECK(error.mean <= kFloat32.mean / 4);
  }
}

TEST_CASE("16-bit weights stay within the tolerance of their arithmetic") {
  check_logits("mistral", {}, kF16Cache, "model-f16.gguf");
  check_logits("qwen2", {}, kBf16Arithmetic, "model-bf16.gguf");
}

TEST_CASE("a Q8_0 model gives the golden logits, exactly and with 8-bit activations") {
  check_logits("llama_quants/Q8_0", kExactF32, kQuantisedFloat32);
  check_logits("llama_quants/Q8_0", {"-ctk", "f32", "-ctv", "f32"}, kQuantisedInt8);
}

TEST_CASE("models of k- and i-quants give the golden logits, exactly and with 8-bit activations") {
  for (const std::string type : {"Q2_K", "Q4_K_M", "Q6_K", "IQ4_XS"}) {
    check_logits("llama_quants/" + type, kExactF32, kQuantisedFloat32);
    check_logits("llama_quants/" + type, {"-ctk", "f32", "-ctv", "f32"}, kQuantisedInt8);
  }
}

TEST_CASE("every instruction set of this machine gives the golden logits") {
  for (const std::string& isa : present_isas()) {
    INFO(isa);
    Arguments exact = kExactF32;
    exact.insert(exact.end(), {"--isa", isa});
    for (const std::string& model : kFloatModels) check_logits(model, exact, kFloat32);
    check_logits("llama_quants/Q8_0", {"--isa", isa}, kQuantisedInt8);
    check_logits("llama_quants/Q4_K_M", {"--isa", isa}, kQuantisedInt8);
    check_logits("qwen2", {"--isa", isa}, kBf16Arithmetic, "model-bf16.gguf");
  }
}

TEST_CASE("the least budget that plan names gives the bits that all memory gives") {
  Arguments paths;
  for (const std::string& model : kFloatModels) paths.push_back(golden_model(model));
  for (const std::string& model : kFolders) paths.push_back(golden("models/" + model));
  for (const std::string& path : paths) {
    const Folder folder;
    const auto ids = read_npy<std::int32_t>(prompt_file("llama", 1, "ids"), "<i4").values;
    write_ids(folder / "ids.json", ids);
    // Of one row a step: a plan is for generating, which wants one row of logits, and so does this.
    const Arguments shape = {"-ub", "1"};
    Arguments plan = {"plan", "-m", path, "-c", std::to_string(ids.size())};
    plan.insert(plan.end(), shape.begin(), shape.end());
    const auto least = windlass_json(plan)["min_ram_bytes"].get<std::int64_t>();
    Arguments small = shape;
    small.insert(small.end(), {"--ram", std::to_string(least) + "B"});
    INFO(path << " in " << least << " B");
    CHECK(logits_bytes(path, folder / "ids.json", small) ==
          logits_bytes(path, folder / "ids.json", shape));
  }
}

TEST_CASE("greedy tokens are the golden ones") {
  for (const std::string& model : kFloatModels) check_greedy(model, kExactF32, kFloat32);
  for (const std::string type : {"Q2_K", "Q4_K_M", "Q6_K", "Q8_0", "IQ4_XS"}) {
    check_greedy("llama_quants/" + type, kExactF32, kQuantisedFloat32);
  }
}

}  // namespace
}  // namespace windlass::test
