// Every option of the program, declared once; a command takes the groups that it can act on.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "src/text/sampling_options.h"

namespace CLI {
class App;
}

namespace windlass {

struct SynthShape {
  std::string preset;
  std::int64_t layers = 0, embd = 0, ffn = 0, heads = 0, kv_heads = 0, head_dim = 0, vocab = 0;
  std::int64_t experts = 0, experts_used = 0;
};

// Lists as given: each flag may be repeated, each of its values be a list or a range
// (bench_plan.h).
struct BenchFlags {
  std::vector<std::string> n_prompt = {"512"}, n_gen = {"128"}, prompt_gen, n_depth = {"0"};
  std::vector<std::string> batch_tokens = {"2048"}, micro_batch_tokens = {"0"}, threads = {"0"};
  std::vector<std::string> n_seq = {"1"}, type_k = {"f16"}, type_v = {"f16"};
  std::int64_t repetitions = 5;
  std::string format = "md";
  bool no_warmup = false;
};

// Values as given; what they mean is checked where they are used.
struct Options {
  bool json = false, verbose = false;
  std::string progress = "auto", log_level = "warn", config;

  std::string model;

  std::string ram = "auto", vram = "auto", isa, cache_dir, profile;
  int threads = 0;

  std::int64_t context_tokens = 0, micro_batch_tokens = 0;
  std::string cache_type_k = "f16", cache_type_v = "f16";
  bool exact = false, no_overlap = false, check_tensors = false;
  std::string stats, trace;

  std::string prompt, file, ids;
  bool add_special = false, no_parse_special = false, from_stdin = false;

  std::int64_t predict = 128;
  bool raw = false, conversation = false, ignore_eos = false;
  std::string system_prompt, chat_template, tools;
  std::vector<std::string> stop;
  SamplingOptions sampling;  // but for the three that are lists in text form
  std::string samplers = sampler_stages_text(SamplingOptions().stages);
  std::vector<std::string> logit_bias;
  std::vector<std::string> dry_sequence_breakers = SamplingOptions().dry_sequence_breakers;
  std::string grammar, grammar_file, json_schema, json_schema_file;

  std::string output;
  std::int64_t depth_tokens = 0;
  std::string what_if, timeline;

  std::vector<std::string> models, calibrated_on;
  std::string side_b_settings, save_logits, logits;
  std::int64_t chunks = 0, recall_tokens = 0;
  std::uint64_t eval_seed = 1;

  BenchFlags bench;

  SynthShape shape;
  std::string weight_type = "q4_0", embd_type = "q8_0", output_type, tokenizer_from;
  bool tied = false, header_only = false;
  std::uint64_t synth_seed = 0;
};

// Single-dash flags of several letters, as llama.cpp has them, by the long name that CLI11 knows
// ("-ub").
const std::map<std::string, std::string>& multi_letter_flags();
// What -ctk and -ctv take.
const std::vector<std::string>& kv_type_names();

void add_common_options(CLI::App& app, Options& options);
void add_model_option(CLI::App& app, Options& options);
void add_cpu_options(CLI::App& app, Options& options);
void add_budget_options(CLI::App& app, Options& options);
void add_profile_options(CLI::App& app, Options& options);
void add_machine_options(CLI::App& app, Options& options);  // the three before
void add_engine_options(CLI::App& app, Options& options);
void add_step_options(CLI::App& app, Options& options);  // of those, what decides over the answer
void add_check_option(CLI::App& app, Options& options);
void add_receipt_options(CLI::App& app, Options& options);
void add_text_options(CLI::App& app, Options& options);  // -p -f and how special tokens are read
void add_ids_option(CLI::App& app, Options& options);
void add_generation_options(CLI::App& app, Options& options);
// --seed, which must be a whole number that fits.
void add_seed_option(CLI::App& app, std::uint64_t& seed, const std::string& of_what);
void add_sampling_options(CLI::App& app, Options& options);
void add_grammar_options(CLI::App& app, Options& options);
void add_eval_text_options(CLI::App& app,
                           Options& options);  // -f, --ids, --calibrated-on, --chunks
void add_compare_options(CLI::App& app, Options& options);
void add_side_options(CLI::App& app, Options& options);  // what one side of compare may have alone
void add_plan_options(CLI::App& app, Options& options);
void add_bench_options(CLI::App& app, Options& options);
void add_convert_options(CLI::App& app, Options& options);
void add_synth_options(CLI::App& app, Options& options);

}  // namespace windlass
