// windlass synth: a random model of a given shape, streamed to disk, with a real tokenizer if one
// is given.
#include <algorithm>
#include <cmath>
#include <memory>

#include "src/base/error.h"
#include "src/base/units.h"
#include "src/format/gguf.h"
#include "tools/files.h"
#include "tools/json_output.h"
#include "tools/outputs.h"
#include "tools/progress.h"
#include "tools/random_weights.h"
#include "tools/session.h"
#include "tools/synth_shape.h"

namespace windlass {
namespace {

constexpr std::int64_t kPieceBytes = 4 * kMiB;

void add_hyperparameters(GgufWriter& writer, const SynthModel& model) {
  const auto u32 = [&](const char* key, std::int64_t value) {
    writer.add_metadata_u32(key, static_cast<std::uint32_t>(value));
  };
  writer.add_metadata("general.architecture", std::string("llama"));
  writer.add_metadata("general.name", model.name);
  u32("llama.block_count", model.n_layers);
  u32("llama.context_length", model.context_length);
  u32("llama.embedding_length", model.d_model);
  u32("llama.feed_forward_length", model.d_ffn);
  u32("llama.attention.head_count", model.n_heads);
  u32("llama.attention.head_count_kv", model.n_kv_heads);
  u32("llama.attention.key_length", model.head_dim);
  u32("llama.attention.value_length", model.head_dim);
  u32("llama.rope.dimension_count", model.head_dim);
  u32("llama.vocab_size", model.n_vocab);
  if (model.n_experts > 0) {
    u32("llama.expert_count", model.n_experts);
    u32("llama.expert_used_count", model.n_experts_used);
  }
  u32("general.quantization_version", 2);
  writer.add_metadata_f32("llama.rope.freq_base", static_cast<float>(model.rope_base));
  writer.add_metadata_f32("llama.attention.layer_norm_rms_epsilon", 1e-5F);
}

void copy_tokenizer(GgufWriter& writer, const TensorTable& from) {
  for (const auto& [key, value] : from.metadata) {
    if (key.starts_with("tokenizer.")) writer.copy_metadata(from, key);
  }
  for (const auto& [key, value] : from.arrays) {
    if (key.starts_with("tokenizer.")) writer.copy_metadata(from, key);
  }
}

// Rows n_in wide with weights of deviation 1/sqrt(n_in) keep the scale of what they multiply;
// embeddings start at 1.
double deviation_of(const SynthTensor& tensor) {
  return tensor.fill == SynthFill::kEmbedding
             ? 1.0
             : 1.0 / std::sqrt(static_cast<double>(tensor.shape.back()));
}

std::int64_t tensor_bytes(const SynthTensor& tensor) {
  std::int64_t n_rows = 1;
  for (std::size_t i = 0; i + 1 < tensor.shape.size(); ++i) n_rows *= tensor.shape[i];
  return n_rows * row_bytes(tensor.type, tensor.shape.back());
}

void write_norm(GgufWriter& writer, const SynthTensor& tensor) {
  const std::vector<float> ones(static_cast<std::size_t>(tensor.shape.back()), 1.0F);
  writer.write_data(std::as_bytes(std::span(ones)));
}

void write_weights(GgufWriter& writer, const std::vector<SynthTensor>& tensors, std::uint64_t seed,
                   const Progress& progress) {
  std::int64_t total_bytes = 0, done_bytes = 0;
  for (const SynthTensor& tensor : tensors) total_bytes += tensor_bytes(tensor);
  RandomWeights random(seed);
  std::vector<std::byte> piece;
  for (const SynthTensor& tensor : tensors) {
    if (tensor.fill == SynthFill::kNorm) {
      write_norm(writer, tensor);
      done_bytes += tensor_bytes(tensor);
      continue;
    }
    const std::int64_t whole_blocks = align_down(kPieceBytes, dtype_info(tensor.type).block_bytes);
    for (std::int64_t left = tensor_bytes(tensor); left > 0;) {
      const std::int64_t size = std::min(left, whole_blocks);
      piece.resize(static_cast<std::size_t>(size));
      random.fill(tensor.type, deviation_of(tensor), piece);
      writer.write_data(piece);
      left -= size;
      done_bytes += size;
      progress(done_bytes, total_bytes, "write");
    }
  }
}

// The tokenizer's file must be open while its metadata is copied.
std::unique_ptr<TensorTable> open_tokenizer(const Options& options) {
  if (options.tokenizer_from.empty()) return nullptr;
  auto table = std::make_unique<TensorTable>(read_gguf(options.tokenizer_from));
  if (!table->arrays.contains("tokenizer.ggml.tokens")) {
    fail(ErrorCode::kBadFile, "{} has no tokenizer (tokenizer.ggml.tokens)",
         options.tokenizer_from);
  }
  return table;
}

}  // namespace

int synth_command(const Invocation& invocation) {
  const Options& options = invocation.options;
  if (options.output.empty())
    fail(ErrorCode::kUsage, "no output file given: windlass synth OUT.gguf --preset llama-1b");
  if (options.header_only && invocation.given("seed")) {
    fail(ErrorCode::kUsage, "--seed cannot act with --header-only: no weights are written");
  }
  const auto tokenizer = open_tokenizer(options);
  const SynthModel model = resolve_synth_model(
      options, tokenizer ? tokenizer->arrays.at("tokenizer.ggml.tokens").n_elements : 0);
  const std::vector<SynthTensor> tensors = synth_tensors(model);
  check_outputs(options, tokenizer ? tokenizer->files : std::vector<ModelFile>{});

  ProgressDisplay display(options.progress);
  GgufWriter writer(options.output);
  add_hyperparameters(writer, model);
  if (tokenizer) copy_tokenizer(writer, *tokenizer);
  for (const SynthTensor& tensor : tensors)
    writer.add_tensor(tensor.name, tensor.type, tensor.shape);
  writer.begin_data();
  if (options.header_only) {
    writer.skip_data();
  } else {
    write_weights(writer, tensors, options.synth_seed, display.callback());
  }
  const std::int64_t size_bytes = writer.finish();
  display.clear();
  if (options.json) {
    print_json({{"bytes", size_bytes}});
  } else {
    print(fmt::format("{}: {}\n", options.output, format_size(size_bytes)));
  }
  return 0;
}

}  // namespace windlass
