#include "tools/options.h"

#include <CLI/CLI.hpp>
#include <charconv>

#include "src/ops/kv_type.h"

namespace windlass {

const std::map<std::string, std::string>& multi_letter_flags() {
  static const std::map<std::string, std::string> kFlags = {
      {"-ub", "--ubatch-size"},   {"-ctk", "--cache-type-k"},  {"-ctv", "--cache-type-v"},
      {"-cnv", "--conversation"}, {"-sys", "--system-prompt"}, {"-np", "--parallel"},
      {"-pg", "--prompt-gen"},
  };
  return kFlags;
}

const std::vector<std::string>& kv_type_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const KvType type : kKvTypes) all.emplace_back(kv_type_name(type));
    return all;
  }();
  return names;
}

void add_common_options(CLI::App& app, Options& o) {
  app.add_flag("--json", o.json, "machine-readable output, errors too");
  app.add_option("--progress", o.progress, "auto | bar | json | off")
      ->check(CLI::IsMember({"auto", "bar", "json", "off"}));
  app.add_flag("-v,--verbose", o.verbose, "same as --log-level debug");
  app.add_option("--log-level", o.log_level, "trace | debug | info | warn | error | off")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}));
  app.add_option("--config", o.config, "TOML file; keys are long flag names");
}

void add_model_option(CLI::App& app, Options& o) {
  app.add_option("-m,--model", o.model, "GGUF file (of a split model: any shard)");
}

namespace {

void add_isa_option(CLI::App& app, Options& o) {
  app.add_option(
      "--isa", o.isa,
      "scalar | avx2 | avxvnni | avx512 | avx512vnni | avx512bf16 | amx; empty: the best");
}

}  // namespace

void add_cpu_options(CLI::App& app, Options& o) {
  app.add_option("-t,--threads", o.threads, "0: the cores that this process may use");
  add_isa_option(app, o);
}

void add_budget_options(CLI::App& app, Options& o) {
  app.add_option("--ram", o.ram, "host memory of the whole process, such as 24GiB, or auto");
  app.add_option("--vram", o.vram, "GPU memory, such as 8GiB, or auto");
}

void add_profile_options(CLI::App& app, Options& o) {
  app.add_option("--cache-dir", o.cache_dir,
                 "holds the machine profile; empty: $XDG_CACHE_HOME/windlass");
  app.add_option("--profile", o.profile, "use this machine profile instead of the cached one");
}

void add_machine_options(CLI::App& app, Options& o) {
  add_budget_options(app, o);
  add_cpu_options(app, o);
  add_profile_options(app, o);
}

void add_engine_options(CLI::App& app, Options& o) {
  app.add_option("-c,--ctx-size", o.context_tokens, "context in tokens; 0: what the command needs");
  add_step_options(app, o);
  app.add_flag("--no-overlap", o.no_overlap,
               "load each block when it is needed: shows what overlap gains");
}

void add_check_option(CLI::App& app, Options& o) {
  app.add_flag("--check-tensors", o.check_tensors,
               "look at all weights for NaN and infinities before anything is computed");
}

void add_step_options(CLI::App& app, Options& o) {
  app.add_option("--ubatch-size", o.micro_batch_tokens,
                 "(-ub) rows of a step computed at once; 0: by the model's shapes");
  app.add_option("--cache-type-k", o.cache_type_k, "(-ctk) f16 | f32 | bf16 | q8_0")
      ->check(CLI::IsMember(kv_type_names()));
  app.add_option("--cache-type-v", o.cache_type_v, "(-ctv) f16 | f32 | bf16 | q8_0")
      ->check(CLI::IsMember(kv_type_names()));
  app.add_flag("--exact", o.exact, "f32 activations throughout");
}

void add_seed_option(CLI::App& app, std::uint64_t& seed, const std::string& of_what) {
  const auto check = [](const std::string& text) {
    std::uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    if (error == std::errc() && stop == end) return std::string();
    return text + " is not a whole number from 0 to 18446744073709551615";
  };
  app.add_option("--seed", seed, of_what)->check(check);
}

void add_receipt_options(CLI::App& app, Options& o) {
  app.add_option("--stats", o.stats, "write the receipt as JSON to this file");
  app.add_option("--trace", o.trace, "write a timeline for Perfetto to this file");
}

void add_text_options(CLI::App& app, Options& o) {
  app.add_option("-p,--prompt", o.prompt, "text");
  app.add_option("-f,--file", o.file, "text file; - is standard input");
  app.add_flag("--add-special", o.add_special, "add BOS as the model's metadata says");
  app.add_flag("--no-parse-special", o.no_parse_special,
               "special tokens in the text are plain text");
}

void add_ids_option(CLI::App& app, Options& o) {
  app.add_option("--ids", o.ids,
                 "file with a JSON array of token ids, instead of text; - is standard input");
}

void add_generation_options(CLI::App& app, Options& o) {
  app.add_option("-n,--predict", o.predict, "tokens to generate; -1: until the end token");
  app.add_flag("--raw", o.raw, "no chat template");
  app.add_flag("--conversation", o.conversation, "(-cnv) chat: one line of standard input a turn");
  app.add_option("--system-prompt", o.system_prompt, "(-sys) system message of the chat template");
  app.add_option("--chat-template", o.chat_template,
                 "Jinja file, or a built-in one by name, instead of the model's own");
  app.add_option("--tools", o.tools, "JSON file: array of the functions that the model may call");
  app.add_flag("--ignore-eos", o.ignore_eos, "go on after the end token");
  app.add_option("--stop", o.stop, "text that ends generation; may be repeated")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
}

void add_eval_text_options(CLI::App& app, Options& o) {
  app.add_option("-f,--file", o.file, "text file; - is standard input");
  add_ids_option(app, o);
  app.add_option("--calibrated-on", o.calibrated_on,
                 "text that the model was fitted to: refuse to score a text that shares passages "
                 "with it; may be repeated")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
  app.add_option("--chunks", o.chunks, "windows to score at most; 0: all of the text");
}

void add_compare_options(CLI::App& app, Options& o) {
  app.add_option("-m,--model", o.models,
                 "side A, and again for side B: GGUF file (of a split model: any shard)")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
  app.add_option("--settings", o.side_b_settings,
                 "flags that side B has besides, such as \"--exact -ctk f32 -ctv f32\"");
  app.add_option("--save-logits", o.save_logits, "keep side A's logits in this file");
  app.add_option("--logits", o.logits, "side A's logits as kept by --save-logits: A is not run");
  app.add_option("--recall", o.recall_tokens,
                 "score random strings (--chunks of them, else 8) planted this many tokens back, "
                 "instead of the text");
  add_seed_option(app, o.eval_seed, "of the resampling, and of planted strings");
}

void add_side_options(CLI::App& app, Options& o) {
  add_step_options(app, o);
  add_cpu_options(app, o);
  app.add_flag("--no-overlap", o.no_overlap, "load each block when it is needed");
}

void add_plan_options(CLI::App& app, Options& o) {
  app.add_option("-d,--depth", o.depth_tokens, "tokens already in the KV cache at the step shown");
  app.add_option(
      "--what-if", o.what_if,
      "another machine: [PROFILE.json,]k=v,... with ram, dram, nvme (rates such as 7GB/s), cores; "
      "of a GPU vram, pcie, vram_bw, gpu_tflops");
  app.add_option("--timeline", o.timeline, "write a picture of a decode step's timeline (SVG)");
}

void add_bench_options(CLI::App& app, Options& o) {
  const auto list = [&](const char* flags, std::vector<std::string>& values, const char* help) {
    app.add_option(flags, values, help)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->allow_extra_args(false);
  };
  BenchFlags& bench = o.bench;
  list("-m,--model", o.models, "GGUF file, or a Hugging Face folder");
  list("-p,--n-prompt", bench.n_prompt, "prompt tokens of a test pp; 0: no such test");
  list("-n,--n-gen", bench.n_gen, "tokens of a test tg, one by one; 0: no such test");
  list("--prompt-gen", bench.prompt_gen, "(-pg) PP,TG: a prompt and what follows it in one test");
  list("-d,--n-depth", bench.n_depth, "tokens in the KV cache before the test");
  list("--parallel", bench.n_seq, "(-np) sequences computed together");
  list("-b,--batch-size", bench.batch_tokens, "tokens of a prompt given to the engine at once");
  list("--ubatch-size", bench.micro_batch_tokens,
       "(-ub) rows of a step computed at once; 0: by the model's shapes");
  list("--cache-type-k", bench.type_k, "(-ctk) as for run");
  list("--cache-type-v", bench.type_v, "(-ctv) as for run");
  list("-t,--threads", bench.threads, "0: the cores that this process may use");
  app.add_option("-r,--repetitions", bench.repetitions, "of each test");
  app.add_option("-o,--output", bench.format, "md | csv | json | jsonl | sql")
      ->check(CLI::IsMember({"md", "csv", "json", "jsonl", "sql"}));
  app.add_flag("--no-warmup", bench.no_warmup, "measure at once, without a run before");
  app.add_flag("--exact", o.exact, "f32 activations throughout");
  app.add_flag("--no-overlap", o.no_overlap, "load each block when it is needed");
  add_budget_options(app, o);
  add_isa_option(app, o);
  add_profile_options(app, o);
  app.footer(
      "Each flag of the tests may be repeated and take a list (512,1024) or a range\n"
      "(first-last, first-last+step, first-last*factor): all combinations are run.");
}

void add_convert_options(CLI::App& app, Options& o) {
  app.add_option("output", o.output, "file to write (OUT.gguf)");
  app.add_option("--type", o.weight_type,
                 "of the matrices: f32 | f16 | bf16 | q8_0 | q4_0 | q4_1 | q5_0 | q5_1 | iq4_nl | "
                 "q2_k | q3_k | q4_k | q5_k | q6_k; must be given")
      ->default_str("");
  app.add_option("--output-type", o.output_type,
                 "of the output matrix; empty: q6_k where --type is smaller, else as --type");
  app.add_option("--ram", o.ram, "memory for buffers, such as 64MiB, or auto");
  app.add_option("-t,--threads", o.threads, "0: the cores that this process may use");
}

void add_synth_options(CLI::App& app, Options& o) {
  app.add_option("output", o.output, "file to write (OUT.gguf)");
  app.add_option("--preset", o.shape.preset, "llama-1b | 3b | 8b | 70b | mixtral-8x7b");
  app.add_option("--type", o.weight_type,
                 "of the matrices: f32, f16, bf16, q4_0, q4_k, iq4_xs or any other of ggml's");
  app.add_option("--layers", o.shape.layers, "instead of a preset: transformer layers");
  app.add_option("--embd", o.shape.embd, "model width");
  app.add_option("--ffn", o.shape.ffn, "feed-forward width, of each expert where there are some");
  app.add_option("--heads", o.shape.heads, "query heads");
  app.add_option("--kv-heads", o.shape.kv_heads, "K and V heads; 0: as --heads");
  app.add_option("--head-dim", o.shape.head_dim, "0: embd / heads");
  app.add_option("--experts", o.shape.experts, "experts of each layer; 0: a dense model");
  app.add_option("--experts-used", o.shape.experts_used, "experts that a token goes through");
  app.add_option("--vocab", o.shape.vocab,
                 "rows of the embedding; 0: the preset's or the tokenizer's");
  app.add_option("--tokenizer", o.tokenizer_from, "copy the tokenizer of this GGUF");
  app.add_option("--embd-type", o.embd_type, "of the token embedding");
  app.add_option("--output-type", o.output_type, "of the output matrix; empty: as --type");
  app.add_flag("--tied", o.tied, "no output matrix: the embedding serves");
  app.add_flag("--header-only", o.header_only,
               "a hole of the right size instead of weights, for plan");
  add_seed_option(app, o.synth_seed, "of the random weights");
}

}  // namespace windlass
