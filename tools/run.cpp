// windlass run: one prompt to text, streamed as it comes; or a chat (chat.cpp).
#include <algorithm>
#include <nlohmann/json.hpp>

#include "pipeline/open_gpu.h"
#include "src/base/error.h"
#include "tools/chat_prompt.h"
#include "tools/files.h"
#include "tools/generation.h"
#include "tools/interrupt.h"
#include "tools/outputs.h"

namespace windlass {
namespace {

void check_options(const Invocation& invocation) {
  const Options& o = invocation.options;
  const bool templated = !o.raw && o.ids.empty();
  if (o.predict < -1)
    fail(ErrorCode::kUsage, "-n {}: a number of tokens, or -1 for until the end token", o.predict);
  if (templated && (o.add_special || o.no_parse_special)) {
    fail(ErrorCode::kUsage,
         "--add-special and --no-parse-special act only with --raw: the chat template decides");
  }
  if (!templated && invocation.given("system-prompt")) {
    fail(ErrorCode::kUsage, "-sys acts only with the chat template: leave out --raw and --ids");
  }
  for (const char* name : {"chat-template", "tools"}) {
    if (!templated && invocation.given(name))
      fail(ErrorCode::kUsage, "--{} cannot act with --raw or --ids: they use no chat template",
           name);
  }
  if (o.conversation && (!templated || o.json)) {
    fail(ErrorCode::kUsage, "-cnv cannot be used with --raw, --ids or --json");
  }
}

std::vector<std::int32_t> templated_prompt_ids(const Invocation& invocation,
                                               const Generation& generation) {
  const Options& options = invocation.options;
  if (invocation.given("prompt") == invocation.given("file")) {
    fail(ErrorCode::kUsage,
         "give a prompt with one of -p TEXT, -f FILE, --ids FILE, or chat with -cnv");
  }
  const ChatPrompt chat_prompt(invocation, generation.model, *generation.tokenizer);
  std::vector<ChatMessage> messages;
  if (!options.system_prompt.empty()) messages.push_back({"system", options.system_prompt});
  messages.push_back(
      {"user", read_prompt_text(invocation, prompt_text_limit(options, generation.model,
                                                              *generation.tokenizer))});
  return chat_prompt.ids(messages);
}

std::int64_t wanted_context(const Options& options, const Model& model,
                            std::int64_t prompt_tokens) {
  require_context(options, model, prompt_tokens, options.predict);
  if (options.context_tokens > 0) return options.context_tokens;
  const std::int64_t longest = model.spec.context_length;
  return options.predict >= 0 ? std::min(prompt_tokens + options.predict, longest) : longest;
}

GenerateResult generate_reply(Generation& generation, const std::vector<std::int32_t>& prompt,
                              const Options& options, ProgressDisplay& display) {
  const auto on_text = [&](std::string_view text) {
    display.clear();
    if (!options.json) print(text);
  };
  return generate(*generation.engine, *generation.tokenizer, *generation.sampler, prompt,
                  make_generate_options(options, options.predict), on_text, interrupted,
                  display.callback());
}

int run_once(Generation& generation, const Invocation& invocation, ProgressDisplay& display) {
  const Options& options = invocation.options;
  const bool templated = !options.raw && options.ids.empty();
  const std::vector<std::int32_t> prompt =
      templated ? templated_prompt_ids(invocation, generation)
                : read_prompt_ids(invocation, generation.model, *generation.tokenizer);
  const auto prompt_tokens = static_cast<std::int64_t>(prompt.size());
  open_engine(generation, options, wanted_context(options, generation.model, prompt_tokens),
              prompt_tokens, display);
  const GenerateResult result = generate_reply(generation, prompt, options, display);
  display.clear();
  const std::int64_t generated_tokens = std::ssize(result.ids);
  Receipt receipt = make_receipt(generation, {prompt_tokens, generated_tokens, result.ttft_s});
  if (result.reason == FinishReason::kLength && generated_tokens < options.predict) {
    receipt.notes.push_back(
        fmt::format("the context of {} tokens (-c) was full after {} of {} (-n)",
                    generation.engine->context_tokens(), generated_tokens, options.predict));
  }
  finish_run(options, *generation.engine, receipt,
             {{"prompt_ids", prompt},
              {"ids", result.ids},
              {"text", result.text},
              {"finish_reason", finish_reason_name(result.reason)}},
             result.text.ends_with('\n') ? "" : "\n");
  return result.reason == FinishReason::kInterrupted ? error_exit_code(ErrorCode::kInterrupted) : 0;
}

}  // namespace

void open_engine(Generation& generation, const Options& options, std::int64_t context_tokens,
                 std::int64_t max_rows, ProgressDisplay& display) {
  const Model& model = generation.model;
  EngineOptions engine_options = make_engine_options(options);
  SamplerSetting setting = {
      .context_tokens = context_tokens, .tokenizer = generation.tokenizer.get(), .filter = nullptr};
  if (generation.grammar) {
    setting.filter =
        std::make_unique<TokenFilter>(std::move(*generation.grammar), *setting.tokenizer);
    generation.grammar.reset();
  }
  generation.sampler =
      std::make_unique<Sampler>(generation.sampling, model.spec.n_vocab, std::move(setting));
  engine_options.context_tokens = context_tokens;
  engine_options.max_rows = max_rows;
  engine_options.table_bytes = generation.tokenizer->size_bytes() +
                               generation.sampler->size_bytes() +
                               id_list_bytes(options, context_tokens);
  Profile profile = obtain_profile(options, engine_options, model.path, display);
  use_gpu(engine_options, profile);
  generation.engine = std::make_unique<Engine>(model, engine_options, profile);
  check_memory(*generation.engine);
}

Receipt make_receipt(const Generation& generation, const GenerationCounts& counts) {
  Receipt receipt = generation.engine->receipt();
  receipt.notes.insert(receipt.notes.end(), generation.notes.begin(), generation.notes.end());
  receipt.prompt_tokens = counts.prompt_tokens;
  receipt.generated_tokens = counts.generated_tokens;
  receipt.ttft_s = counts.ttft_s;
  return receipt;
}

GenerateOptions make_generate_options(const Options& options, std::int64_t max_tokens) {
  for (const std::string& stop : options.stop) require_utf8(stop, "--stop");
  return {.max_tokens = max_tokens, .ignore_eos = options.ignore_eos, .stop = options.stop};
}

int run_command(const Invocation& invocation) {
  check_options(invocation);
  const Options& options = invocation.options;
  make_engine_options(options);  // what is wrong with the flags is said before the model is opened
  Generation generation;
  generation.sampling = make_sampling_options(invocation);
  generation.grammar = make_grammar(invocation);
  ProgressDisplay display(options.progress);
  generation.model = open_model(require_model(options));
  check_outputs(options, generation.model.tensors.files);
  generation.tokenizer = make_tokenizer_or_ids(generation.model, &generation.notes);
  return options.conversation ? chat(generation, invocation, display)
                              : run_once(generation, invocation, display);
}

}  // namespace windlass
