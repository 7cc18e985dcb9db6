// What one-shot `run` and chat share: a model open for generation, and how they end.
#pragma once

#include <optional>

#include "pipeline/generator.h"
#include "tools/session.h"

namespace windlass {

// Owner-thread. Members are in the order that they need each other.
struct Generation {
  Model model;
  std::unique_ptr<Tokenizer> tokenizer;
  std::vector<std::string> notes;  // for the receipt
  SamplingOptions sampling;
  std::optional<Automaton> grammar;  // until the sampler takes it
  std::unique_ptr<Engine> engine;
  std::unique_ptr<Sampler> sampler;
};

// REQUIRES: context_tokens > 0. max_rows: most tokens of one prompt; 0: the context.
void open_engine(Generation& generation, const Options& options, std::int64_t context_tokens,
                 std::int64_t max_rows, ProgressDisplay& display);

// Counts that only the caller knows, over all prompts of the run.
struct GenerationCounts {
  std::int64_t prompt_tokens = 0, generated_tokens = 0;
  double ttft_s = 0;
};
Receipt make_receipt(const Generation& generation, const GenerationCounts& counts);

// From the flags, all of which can act. Error(kUsage).
SamplingOptions make_sampling_options(const Invocation& invocation);
// What --grammar, --json-schema or their -file forms want; nothing if none was given.
// Error(kUsage).
std::optional<Automaton> make_grammar(const Invocation& invocation);

GenerateOptions make_generate_options(const Options& options, std::int64_t max_tokens);

// Chat over standard input, with -p or -f as the first user message. Exit status.
int chat(Generation& generation, const Invocation& invocation, ProgressDisplay& display);

}  // namespace windlass
