// windlass logits: the logits of every token of a text, streamed to a NumPy file as they are
// computed.
#include <nlohmann/json.hpp>

#include "pipeline/open_gpu.h"
#include "src/base/error.h"
#include "tools/npy_writer.h"
#include "tools/outputs.h"
#include "tools/session.h"

namespace windlass {
namespace {

Receipt write_logits(Engine& engine, const std::vector<std::int32_t>& ids, std::int64_t n_vocab,
                     const Options& options, ProgressDisplay& display) {
  NpyWriter writer(options.output, static_cast<std::int64_t>(ids.size()), n_vocab);
  engine.feed(
      ids, static_cast<std::int64_t>(ids.size()),
      [&](const LogitsTile& tile) {
        writer.write_tile(tile.first_position, tile.rows, tile.first_column, tile.columns,
                          tile.data, tile.stride);
      },
      display.callback());
  writer.finish();
  display.clear();
  Receipt receipt = engine.receipt();
  receipt.prompt_tokens = static_cast<std::int64_t>(ids.size());
  return receipt;
}

}  // namespace

int logits_command(const Invocation& invocation) {
  const Options& options = invocation.options;
  if (options.output.empty()) fail(ErrorCode::kUsage, "no output file given: use -o OUT.npy");
  EngineOptions engine_options = make_engine_options(options);
  const Model model = open_model(require_model(options));
  check_outputs(options, model.tensors.files);
  std::vector<std::string> notes;
  const auto tokenizer = make_tokenizer_or_ids(model, &notes);
  const std::vector<std::int32_t> ids = read_prompt_ids(invocation, model, *tokenizer);
  const auto n_tokens = static_cast<std::int64_t>(ids.size());

  ProgressDisplay display(options.progress);
  require_context(options, model, n_tokens, 0);
  engine_options.context_tokens = options.context_tokens > 0 ? options.context_tokens : n_tokens;
  engine_options.max_rows = n_tokens;
  engine_options.logits_rows = n_tokens;
  engine_options.table_bytes = tokenizer->size_bytes() + id_list_bytes(options, n_tokens);
  Profile profile = obtain_profile(options, engine_options, model.path, display);
  use_gpu(engine_options, profile);
  Engine engine(model, engine_options, profile);
  check_memory(engine);
  Receipt receipt = write_logits(engine, ids, model.spec.n_vocab, options, display);
  receipt.notes.insert(receipt.notes.end(), notes.begin(), notes.end());
  finish_run(
      options, engine, receipt, {{"n_tokens", n_tokens}, {"n_vocab", model.spec.n_vocab}},
      fmt::format("{}: {} tokens x {} logits\n", options.output, n_tokens, model.spec.n_vocab));
  return 0;
}

}  // namespace windlass
