// Tokenizing speed, one thread, in bytes of text a second. The text: WINDLASS_BENCH_TEXT names a
// file (some MB of prose: a short text repeated flatters the word cache), else the golden passage.
// Vocabularies: those of the golden set; WINDLASS_BENCH_MODELS adds files, parted by ':'.
//   cmake -DWINDLASS_BENCH=ON --preset release && cmake --build --preset release --target
//   tokenizer_bench && build/release/bench/micro/tokenizer_bench
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>

#include "src/format/gguf.h"
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

void encode(benchmark::State& state, const std::string& path) {
  const auto tokenizer = windlass::make_tokenizer(windlass::read_gguf(path));
  std::size_t n_tokens = 0;
  for (auto _ : state) n_tokens = tokenizer->encode(text(), {}).size();
  state.SetBytesProcessed(static_cast<std::int64_t>(text().size()) * state.iterations());
  state.counters["bytes/token"] =
      static_cast<double>(text().size()) / static_cast<double>(n_tokens);
  state.counters["table MiB"] = static_cast<double>(tokenizer->size_bytes()) / (1 << 20);
}

void open(benchmark::State& state, const std::string& path) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(windlass::make_tokenizer(windlass::read_gguf(path)));
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::string paths;
  for (const char* name :
       {"smollm2-vocab", "bpe4k-llama-bpe", "bpe4k-gpt-4o", "bpe4k-deepseek-v3", "spm4k"}) {
    paths.append(kGolden).append("tokenizer/").append(name).append(".gguf:");
  }
  if (const char* more = std::getenv("WINDLASS_BENCH_MODELS")) paths.append(more);
  std::istringstream list(paths);
  for (std::string path; std::getline(list, path, ':');) {
    const std::string name = path.substr(path.rfind('/') + 1);
    benchmark::RegisterBenchmark(("encode/" + name).c_str(), encode, path)
        ->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark(("open/" + name).c_str(), open, path)
        ->Unit(benchmark::kMillisecond);
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
