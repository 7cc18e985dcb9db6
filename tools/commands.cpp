// The table of commands: name, options, function.
#include <CLI/CLI.hpp>

#include "tools/command.h"

namespace windlass {
namespace {

void declare_run(CLI::App& app, Options& o) {
  add_model_option(app, o);
  add_text_options(app, o);
  add_ids_option(app, o);
  add_generation_options(app, o);
  add_sampling_options(app, o);
  add_grammar_options(app, o);
  add_machine_options(app, o);
  add_engine_options(app, o);
  add_receipt_options(app, o);
  add_check_option(app, o);
}

void declare_logits(CLI::App& app, Options& o) {
  add_model_option(app, o);
  add_text_options(app, o);
  add_ids_option(app, o);
  app.add_option("-o,--output", o.output, "NumPy file: float32 [n_tokens, n_vocab]");
  add_machine_options(app, o);
  add_engine_options(app, o);
  add_receipt_options(app, o);
  add_check_option(app, o);
}

void declare_tokenize(CLI::App& app, Options& o) {
  add_model_option(app, o);
  add_text_options(app, o);
  app.add_flag("--stdin", o.from_stdin,
               "read JSON strings from standard input, one a line; answer each with a line");
}

void declare_perplexity(CLI::App& app, Options& o) {
  add_model_option(app, o);
  add_eval_text_options(app, o);
  add_machine_options(app, o);
  add_engine_options(app, o);
  add_receipt_options(app, o);
  add_check_option(app, o);
}

void declare_compare(CLI::App& app, Options& o) {
  add_compare_options(app, o);
  add_eval_text_options(app, o);
  add_machine_options(app, o);
  add_engine_options(app, o);
  add_receipt_options(app, o);
  add_check_option(app, o);
}

void declare_selftest(CLI::App& app, Options& o) {
  add_model_option(app, o);
  add_text_options(app, o);
  add_ids_option(app, o);
  add_machine_options(app, o);
  add_step_options(app, o);
}

void declare_plan(CLI::App& app, Options& o) {
  add_model_option(app, o);
  add_machine_options(app, o);
  add_engine_options(app, o);
  add_plan_options(app, o);
}

void declare_profile(CLI::App& app, Options& o) {
  add_model_option(app, o);
  app.add_option("-o,--output", o.output, "write the profile to this file too");
  app.add_option("--ram", o.ram, "memory that measuring may use, or auto");
  add_cpu_options(app, o);
  app.add_option("--cache-dir", o.cache_dir,
                 "holds the machine profile; empty: $XDG_CACHE_HOME/windlass");
}

void declare_doctor(CLI::App& app, Options& o) {
  add_model_option(app, o);
  app.add_option("--cache-dir", o.cache_dir,
                 "holds the machine profile; empty: $XDG_CACHE_HOME/windlass");
}

void declare_convert(CLI::App& app, Options& o) {
  add_model_option(app, o);
  add_convert_options(app, o);
}

constexpr Command kCommands[] = {
    {"run", "generate text, or chat (-cnv)", declare_run, run_command},
    {"logits", "logits of every token of a text, to a NumPy file", declare_logits, logits_command},
    {"tokenize", "text to token ids", declare_tokenize, tokenize_command},
    {"perplexity", "how well the model predicts a text", declare_perplexity, perplexity_command},
    {"compare", "how far a model, or a setting, is from another on a text", declare_compare,
     compare_command},
    {"selftest", "the same prompt under many placements: is the answer the same?", declare_selftest,
     selftest_command},
    {"bench", "how fast prompts and decode are, as llama-bench measures it", add_bench_options,
     bench_command},
    {"plan", "what will be where, how fast, and why", declare_plan, plan_command},
    {"profile", "measure this machine and cache the result", declare_profile, profile_command},
    {"doctor", "what this machine offers, and what to do about what it lacks", declare_doctor,
     doctor_command},
    {"info", "what a model file holds", add_model_option, info_command},
    {"convert", "write a float model's weights as another type", declare_convert, convert_command},
    {"synth", "write a random model of a given shape", add_synth_options, synth_command},
};

}  // namespace

std::span<const Command> commands() { return kCommands; }

}  // namespace windlass
