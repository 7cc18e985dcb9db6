// windlass logits: the logits of every token of a text, streamed to a NumPy file as they are
// computed.
#include <cstdio>

#include "src/base/error.h"
#include "src/base/output_target.h"
#include "tools/files.h"
#include "tools/json_output.h"
#include "tools/npy_writer.h"
#include "tools/session.h"

namespace windlass {
namespace {

// The context is the text's length unless -c asks for more.
std::int64_t wanted_context(const Options& options, std::int64_t n_tokens) {
  if (options.context_tokens == 0) return n_tokens;
  if (options.context_tokens < n_tokens) {
    fail(ErrorCode::kNoSpace,
         "the prompt has {} tokens and the context {} (-c): use -c {} or a shorter prompt",
         n_tokens, options.context_tokens, n_tokens);
  }
  return options.context_tokens;
}

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
  check_output_target(options.output, require_model(options));
  const Model model = open_model(require_model(options));
  const auto tokenizer = make_tokenizer_or_ids(model);
  const std::vector<std::int32_t> ids = read_prompt_ids(invocation, *tokenizer, model.spec.n_vocab);
  const auto n_tokens = static_cast<std::int64_t>(ids.size());

  ProgressDisplay display(options.progress);
  engine_options.context_tokens = wanted_context(options, n_tokens);
  engine_options.max_rows = n_tokens;
  engine_options.logits_rows = n_tokens;
  engine_options.table_bytes = tokenizer->size_bytes();
  const Profile profile = obtain_profile(options, engine_options, model.path, display);
  Engine engine(model, engine_options, profile);
  const Receipt receipt = write_logits(engine, ids, model.spec.n_vocab, options, display);
  if (options.json) {
    print_json(
        {{"n_tokens", n_tokens}, {"n_vocab", model.spec.n_vocab}, {"receipt", to_json(receipt)}});
  } else {
    print(fmt::format("{}: {} tokens x {} logits\n", options.output, n_tokens, model.spec.n_vocab));
    std::fputs(format_receipt(receipt).c_str(), stderr);
  }
  finish_run(options, engine, receipt);
  return 0;
}

}  // namespace windlass
