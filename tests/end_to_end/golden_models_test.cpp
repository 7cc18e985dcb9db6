// Logits and greedy tokens of the tiny golden models, through the program, within the tolerances of
// the golden data.
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
constexpr Tolerance kQuantisedFloat32{5e-4, 5e-5};
constexpr Tolerance kQuantisedInt8{5e-1, 8e-2};

std::string prompt_file(const std::string& model, int prompt, const char* what) {
  return golden("models/" + model + "/golden/prompt" + std::to_string(prompt) + "." + what +
                ".npy");
}

void check_logits(const std::string& model, const Arguments& flags, const Tolerance& tolerance) {
  for (int prompt = 0; prompt < 2; ++prompt) {
    const Folder folder;
    write_ids(folder / "ids.json",
              read_npy<std::int32_t>(prompt_file(model, prompt, "ids"), "<i4").values);
    const auto expected = read_npy<float>(prompt_file(model, prompt, "logits"), "<f4");
    const auto error = difference(
        as_floats(logits_bytes(golden_model(model), folder / "ids.json", flags)), expected.values);
    INFO(model << " prompt " << prompt << ": max " << error.max << ", mean " << error.mean);
    CHECK(error.max <= tolerance.max);
    CHECK(error.mean <= tolerance.mean);
  }
}

// Tokens must agree up to the first choice whose margin is below twice the tolerance.
void check_greedy(const std::string& model, const Arguments& flags, const Tolerance& tolerance) {
  const auto reference =
      nlohmann::json::parse(read_bytes(golden("models/" + model + "/golden.json")));
  for (int prompt = 0; prompt < 2; ++prompt) {
    const Folder folder;
    write_ids(folder / "ids.json",
              read_npy<std::int32_t>(prompt_file(model, prompt, "ids"), "<i4").values);
    Arguments arguments = {"run",         "-m",    golden_model(model), "--raw", "--temp",
                           "0",           "--ids", folder / "ids.json", "-n",    "32",
                           "--ignore-eos"};
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
  check_logits("llama", kExactF32, kFloat32);
  check_logits("llama3_rope", kExactF32, kFloat32);
}

TEST_CASE("a half-precision cache stays within its tolerance") {
  check_logits("llama", {"--exact"}, kF16Cache);
  check_logits("llama3_rope", {}, kF16Cache);
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
    check_logits("llama3_rope", {"--exact", "-ctk", "f32", "-ctv", "f32", "--isa", isa}, kFloat32);
    check_logits("llama_quants/Q8_0", {"--isa", isa}, kQuantisedInt8);
    check_logits("llama_quants/Q4_K_M", {"--isa", isa}, kQuantisedInt8);
  }
}

TEST_CASE("greedy tokens are the golden ones") {
  check_greedy("llama", kExactF32, kFloat32);
  check_greedy("llama3_rope", kExactF32, kFloat32);
  for (const std::string type : {"Q2_K", "Q4_K_M", "Q6_K", "Q8_0", "IQ4_XS"}) {
    check_greedy("llama_quants/" + type, kExactF32, kQuantisedFloat32);
  }
}

}  // namespace
}  // namespace windlass::test
