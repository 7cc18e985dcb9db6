// Tokenizing speed, one thread, in bytes of text a second of CPU time; what opening a model costs
// without and with its vocabulary; and a word of 1 MB. The text: WINDLASS_BENCH_TEXT names a file
// (some MB of prose: a short text repeated flatters the word cache), else the golden passage.
// Vocabularies: those of the golden set, one of each method; WINDLASS_BENCH_MODELS adds files and
// folders, parted by ':'.
//   cmake -DWINDLASS_BENCH=ON --preset release && cmake --build --preset release --target
//   tokenizer_bench && build/release/bench/micro/tokenizer_bench
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>

#include "src/model/model.h"
#include "src/text/tokenizer.h"

namespace {

const std::string kGolden = WINDLASS_SOURCE_DIR "/tests/golden/";

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

const std::string& text() {
  static const std::string text = [] {
    const char* path = std::getenv("WINDLASS_BENCH_TEXT");
    return read(path != nullptr ? std::string(path) : kGolden + "smollm2/ppl.txt");
  }();
  return text;
}

void encode_text(benchmark::State& state, const std::string& path, const std::string& text) {
  const auto tokenizer = windlass::make_tokenizer(windlass::read_tensor_table(path));
  std::size_t n_tokens = 0;
  for (auto _ : state) n_tokens = tokenizer->encode(text, {}).size();
  state.SetBytesProcessed(static_cast<std::int64_t>(text.size()) * state.iterations());
  state.counters["bytes/token"] = static_cast<double>(text.size()) / static_cast<double>(n_tokens);
  state.counters["table MiB"] = static_cast<double>(tokenizer->size_bytes()) / (1 << 20);
}

void encode(benchmark::State& state, const std::string& path) { encode_text(state, path, text()); }

// Letters of an English text without its spaces: merges everywhere, and no cut.
void long_word(benchmark::State& state, const std::string& path) {
  std::string word;
  for (std::size_t i = 0; word.size() < 1'000'000; ++i) {
    const char c = text()[i % text().size()];
    if (c >= 'a' && c <= 'z') word += c;
  }
  encode_text(state, path, word);
}

// Names, metadata, spec: what a plan needs. The file is in the page cache.
void open_model(benchmark::State& state, const std::string& path) {
  std::size_t n_tensors = 0;
  for (auto _ : state) n_tensors = windlass::open_model(path).tensors.tensors.size();
  state.counters["tensors"] = static_cast<double>(n_tensors);
}

void open_vocabulary(benchmark::State& state, const std::string& path) {
  const windlass::TensorTable table = windlass::read_tensor_table(path);
  for (auto _ : state) benchmark::DoNotOptimize(windlass::make_tokenizer(table));
}

}  // namespace

int main(int argc, char** argv) {
  std::string paths;
  for (const char* name : {"smollm2-vocab", "bpe4k-llama-bpe", "bpe4k-gpt-4o", "bpe4k-deepseek-v3",
                           "spm4k", "hf/t5", "hf/bert"}) {
    paths.append(kGolden).append("tokenizer/").append(name).append(".gguf:");
  }
  if (const char* more = std::getenv("WINDLASS_BENCH_MODELS")) paths.append(more);
  std::istringstream list(paths);
  for (std::string path; std::getline(list, path, ':');) {
    const std::string name = path.substr(path.rfind('/') + 1);
    const auto add = [&](const char* what, void (*run)(benchmark::State&, const std::string&)) {
      benchmark::RegisterBenchmark((what + name).c_str(), run, path)->Unit(benchmark::kMillisecond);
    };
    add("encode/", encode);
    add("long_word/", long_word);
    add("open_vocabulary/", open_vocabulary);
    if (!windlass::read_tensor_table(path).tensors.empty()) add("open_model/", open_model);
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
