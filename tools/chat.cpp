// windlass run -cnv: a conversation over standard input. The KV cache is kept between turns: only
// what is new is computed.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "src/base/error.h"
#include "tools/chat_prompt.h"
#include "tools/files.h"
#include "tools/generation.h"
#include "tools/interrupt.h"

namespace windlass {
namespace {

constexpr std::int64_t kChatContextTokens = 4096;

class Conversation {
 public:
  Conversation(Generation& generation, const Options& options, ChatPrompt chat_prompt,
               ProgressDisplay& display)
      : generation_(generation),
        // Unlike one-shot text, a reply has an end: the context bounds those that do not find it.
        generate_options_(make_generate_options(options, -1)),
        chat_prompt_(std::move(chat_prompt)),
        display_(display) {
    if (!options.system_prompt.empty()) messages_.push_back({"system", options.system_prompt});
  }

  void limit_reply(std::int64_t max_tokens) { generate_options_.max_tokens = max_tokens; }

  // One user message and its reply. Throws Error(kInterrupted) at Ctrl-C.
  void turn(const std::string& user_text) {
    messages_.push_back({"user", user_text});
    const std::vector<std::int32_t> prompt = chat_prompt_.ids(messages_);
    const std::int64_t kept = keep_common_prefix(prompt);
    const std::span<const std::int32_t> fresh =
        std::span(prompt).subspan(static_cast<std::size_t>(kept));
    counts_.prompt_tokens += static_cast<std::int64_t>(fresh.size());
    const GenerateResult result = generate(
        *generation_.engine, *generation_.tokenizer, *generation_.sampler, fresh, generate_options_,
        [&](std::string_view text) {
          display_.clear();
          print(text);
        },
        interrupted, display_.callback());
    remember(prompt, result);
    print("\n");
    throw_if_interrupted();
  }

  Receipt receipt() const { return make_receipt(generation_, counts_); }

 private:
  // Rolls the KV cache back to what it shares with `prompt`; at least one token stays to be
  // computed.
  std::int64_t keep_common_prefix(const std::vector<std::int32_t>& prompt) {
    Engine& engine = *generation_.engine;
    const auto n_prompt = static_cast<std::int64_t>(prompt.size());
    if (n_prompt > engine.context_tokens()) {
      fail(ErrorCode::kNoSpace,
           "the conversation has {} tokens and the context {}: use a larger -c, or start again",
           n_prompt, engine.context_tokens());
    }
    const std::size_t most = std::min(prompt.size() - 1, computed_.size());
    const auto end = computed_.begin() + static_cast<std::ptrdiff_t>(most);
    const std::int64_t kept =
        std::mismatch(computed_.begin(), end, prompt.begin()).first - computed_.begin();
    engine.roll_back(kept);
    return kept;
  }

  void remember(const std::vector<std::int32_t>& prompt, const GenerateResult& result) {
    computed_ = prompt;
    computed_.insert(computed_.end(), result.ids.begin(), result.ids.end());
    // The last token was sampled, perhaps not fed.
    computed_.resize(
        std::min(computed_.size(), static_cast<std::size_t>(generation_.engine->n_tokens())));
    messages_.push_back({"assistant", result.text});
    if (counts_.ttft_s == 0) counts_.ttft_s = result.ttft_s;
    counts_.generated_tokens += static_cast<std::int64_t>(result.ids.size());
  }

  Generation& generation_;
  GenerateOptions generate_options_;
  ChatPrompt chat_prompt_;
  ProgressDisplay& display_;
  std::vector<ChatMessage> messages_;
  std::vector<std::int32_t> computed_;  // ids whose KV the engine holds
  GenerationCounts counts_;
};

// False at the end of input.
bool next_user_text(std::string& text, const TextLimit& limit) {
  if (::isatty(STDIN_FILENO) == 1) std::fputs("> ", stderr);
  do {
    if (!read_line(text, limit)) return false;
    require_utf8(text, "a line of standard input");
  } while (text.empty());
  return true;
}

void converse(Conversation& conversation, const Invocation& invocation, const TextLimit& limit) {
  std::string text = read_prompt_text(invocation, limit);
  if (!text.empty()) conversation.turn(text);
  while (next_user_text(text, limit)) conversation.turn(text);
  throw_if_interrupted();
}

}  // namespace

int chat(Generation& generation, const Invocation& invocation, ProgressDisplay& display) {
  const Options& options = invocation.options;
  if (options.file == "-") {
    fail(ErrorCode::kUsage, "-cnv reads its turns from standard input: give the first one with -p");
  }
  ChatPrompt chat_prompt(invocation, generation.model, *generation.tokenizer);
  const std::int64_t context =
      options.context_tokens > 0
          ? options.context_tokens
          : std::min(kChatContextTokens, generation.model.spec.context_length);
  open_engine(generation, options, context, 0, display);
  Conversation conversation(generation, options, std::move(chat_prompt), display);
  if (invocation.given("predict")) conversation.limit_reply(options.predict);
  int status = 0;
  try {
    converse(conversation, invocation,
             prompt_text_limit(options, generation.model, *generation.tokenizer));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInterrupted) throw;
    status = error_exit_code(error.code());
  }
  display.clear();
  finish_run(options, *generation.engine, conversation.receipt(), {}, "");
  return status;
}

}  // namespace windlass
