// A real model: SmolLM2-135M-Instruct, Q4_1, against fp32 references and under budgets smaller than
// the model. WINDLASS_SMOLLM2 names the GGUF (98 MB, fetched by tools/fetch_smollm2.sh); without it
// these tests say that they are skipped.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>

#include "tests/end_to_end/program.h"
#include "tests/support/catch.h"

namespace windlass::test {
namespace {

constexpr std::int64_t kVocab = 49152;
constexpr std::int64_t kTop = 8;  // largest logits kept per position

// Empty, with the reason printed, when there is no model.
std::string smollm2() {
  const char* path = std::getenv("WINDLASS_SMOLLM2");
  if (path != nullptr && *path != '\0') return path;
  std::cout << "skipped: WINDLASS_SMOLLM2 does not name the model's GGUF\n";
  return "";
}

struct Reference {
  explicit Reference(const std::string& name)
      : json(nlohmann::json::parse(read_bytes(golden("smollm2/" + name + ".json")))),
        ids(json["ids"].get<std::vector<std::int32_t>>()),
        logprob_next(json["logprob_next"].get<std::vector<double>>()),
        top_ids(json["top_ids"].get<std::vector<std::int64_t>>()),
        top_logits(json["top_logits"].get<std::vector<double>>()) {}
  nlohmann::json json;
  std::vector<std::int32_t> ids;
  std::vector<double> logprob_next;
  std::vector<std::int64_t> top_ids;
  std::vector<double> top_logits;
};

double log_sum_exp(const float* row) {
  const double maximum = static_cast<double>(*std::max_element(row, row + kVocab));
  double sum = 0;
  for (std::int64_t i = 0; i < kVocab; ++i) sum += std::exp(static_cast<double>(row[i]) - maximum);
  return maximum + std::log(sum);
}

struct Errors {
  std::vector<double> top, logprob;
  std::int64_t clear_top1_changes =
      0;  // where the reference's first leads its second by more than 1
};

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}
double largest(const std::vector<double>& values) {
  return *std::max_element(values.begin(), values.end());
}
double percentile99(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() * 99 / 100];
}

Errors compare(const Reference& reference, const std::vector<float>& logits) {
  Errors errors;
  const auto n = static_cast<std::int64_t>(reference.ids.size());
  REQUIRE(static_cast<std::int64_t>(logits.size()) == n * kVocab);
  for (std::int64_t t = 0; t < n; ++t) {
    const float* row = logits.data() + t * kVocab;
    const auto* top_ids = reference.top_ids.data() + t * kTop;
    const auto* top_logits = reference.top_logits.data() + t * kTop;
    for (std::int64_t k = 0; k < kTop; ++k) {
      errors.top.push_back(std::abs(static_cast<double>(row[top_ids[k]]) - top_logits[k]));
    }
    if (std::max_element(row, row + kVocab) - row != top_ids[0] &&
        top_logits[0] - top_logits[1] > 1.0) {
      ++errors.clear_top1_changes;
    }
    if (t + 1 == n) continue;
    const double logprob =
        static_cast<double>(row[reference.ids[static_cast<std::size_t>(t + 1)]]) - log_sum_exp(row);
    errors.logprob.push_back(
        std::abs(logprob - reference.logprob_next[static_cast<std::size_t>(t)]));
  }
  return errors;
}

std::vector<float> logits_of(const std::string& model, const Reference& reference,
                             const Arguments& flags) {
  const Folder folder;
  write_ids(folder / "ids.json", reference.ids);
  return as_floats(logits_bytes(model, folder / "ids.json", flags));
}

void check_greedy(const std::string& model, const Reference& reference, const Arguments& flags,
                  double least_margin) {
  const Folder folder;
  write_ids(folder / "ids.json", reference.ids);
  Arguments arguments = {"run",    "-m", model,         "--raw",
                         "--temp", "0",  "--ids",       folder / "ids.json",
                         "-n",     "64", "--ignore-eos"};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  const auto ids = windlass_json(arguments)["ids"];
  REQUIRE(ids.size() == 64);
  for (std::size_t i = 0; i < 64; ++i) {
    if (reference.json["greedy_margin"][i].get<double>() < least_margin) break;
    INFO("token " << i);
    CHECK(ids[i] == reference.json["greedy_ids"][i]);
  }
}

TEST_CASE("SmolLM2 with float32 arithmetic gives the reference's logits and tokens", "[smollm2]") {
  const std::string model = smollm2();
  if (model.empty()) return;
  const Arguments flags = {"--exact", "-ctk", "f32", "-ctv", "f32"};
  for (const char* name : {"chat", "code", "passage"}) {
    INFO(name);
    const Reference reference(name);
    const Errors errors = compare(reference, logits_of(model, reference, flags));
    CHECK(largest(errors.top) <= 5e-3);
    CHECK(mean(errors.top) <= 1e-4);
    CHECK(largest(errors.logprob) <= 1e-3);
    check_greedy(model, reference, flags, 0.01);
  }
}

TEST_CASE("SmolLM2 with 8-bit activations stays within its tolerance", "[smollm2]") {
  const std::string model = smollm2();
  if (model.empty()) return;
  for (const char* name : {"chat", "code", "passage"}) {
    INFO(name);
    const Reference reference(name);
    const Errors errors = compare(reference, logits_of(model, reference, {}));
    const double agree = 1.0 - static_cast<double>(errors.clear_top1_changes) /
                                   static_cast<double>(reference.ids.size());
    CHECK(mean(errors.logprob) < 0.15);
    CHECK(mean(errors.top) < 0.35);
    CHECK(percentile99(errors.top) < 2.0);
    CHECK(agree >= 0.93);
    check_greedy(model, reference, {}, 1.0);
  }
}

TEST_CASE("SmolLM2's logits on 700 tokens are bit-identical for every budget", "[smollm2]") {
  const std::string model = smollm2();
  if (model.empty()) return;
  const Folder folder;
  write_ids(folder / "ids.json", Reference("passage").ids);
  const std::string reference = logits_bytes(model, folder / "ids.json", {});
  for (const char* ram : {"48MiB", "64MiB", "96MiB"}) {
    INFO(ram);
    CHECK(logits_bytes(model, folder / "ids.json", {"--ram", ram}) == reference);
  }
}

TEST_CASE("SmolLM2's perplexity is the reference's", "[smollm2]") {
  const std::string model = smollm2();
  if (model.empty()) return;
  const auto quantised =
      windlass_json({"perplexity", "-m", model, "-f", golden("smollm2/ppl.txt"), "-c", "512"});
  CHECK(quantised["n_scored"] == 5100);
  CHECK(quantised["perplexity"].get<double>() == Approx(13.2429).epsilon(0.01));
}

TEST_CASE("SmolLM2's float32 perplexity is the reference's to 0.01 %", "[smollm2]") {
  const std::string model = smollm2();
  if (model.empty()) return;
  const auto exact = windlass_json({"perplexity", "-m", model, "-f", golden("smollm2/ppl.txt"),
                                    "-c", "512", "--exact", "-ctk", "f32", "-ctv", "f32"},
                                   {.timeout_s = 500});
  CHECK(exact["perplexity"].get<double>() == Approx(13.242867331).epsilon(1e-4));
}

TEST_CASE("SmolLM2 copies a planted string, and its settings are measurably apart", "[smollm2]") {
  const std::string model = smollm2();
  if (model.empty()) return;
  const Folder folder;
  write_bytes(folder / "text.txt", read_bytes(golden("smollm2/ppl.txt")).substr(0, 12000));
  const Arguments text = {"compare",           "-m",          model,           "-f",
                          folder / "text.txt", "--cache-dir", folder / "cache"};
  const auto with = [&](const Arguments& more) {
    Arguments arguments = text;
    arguments.insert(arguments.end(), more.begin(), more.end());
    return windlass_json(arguments);
  };
  const auto near = with({"--recall", "32", "--chunks", "8"});
  CHECK(near["n_scored"] == 8 * 13);
  CHECK(near["a"]["top_is_target"]["mean"] > 0.7);
  const auto apart = with({"-c", "256", "--chunks", "3", "--settings", "--exact"});
  CHECK(apart["kl"]["ci95"][0] > 0.0005);
  CHECK(apart["kl"]["ci95"][1] < 0.02);
  CHECK(apart["same_top"]["mean"] > 0.9);
}

TEST_CASE("SmolLM2 chats: what was said stays in the cache", "[smollm2]") {
  const std::string model = smollm2();
  if (model.empty()) return;
  const ProcessResult chat = windlass(
      {"run", "-m", model, "-cnv", "--temp", "0", "-n", "12", "-c", "512", "--ram", "64MiB", "--exact"},
      {.input = "My name is Ada.\nWhat is my name?\n"});
  INFO(chat.err);
  CHECK(chat.exit_status == 0);
  CHECK(std::count(chat.out.begin(), chat.out.end(), '\n') >= 2);
  CHECK_THAT(chat.out, Contains("Ada"));
  CHECK_THAT(chat.err, Contains("prefill"));
}

}  // namespace
}  // namespace windlass::test
