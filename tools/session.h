// What the commands that run or plan a model share: from options to an open model, its tokenizer, a
// machine profile and engine options; and how such a command ends.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/engine.h"
#include "pipeline/profile.h"
#include "src/model/model.h"
#include "src/text/tokenizer.h"
#include "tools/command.h"
#include "tools/files.h"
#include "tools/progress.h"

namespace windlass {

// Error(kUsage) unless -m was given.
const std::string& require_model(const Options& options);

// The model's tokenizer; where there is none that this build reads, or its text can become a token
// that the embedding has no row for, one that knows ids only (text comes out empty), and a note for
// the receipt that says so.
std::unique_ptr<Tokenizer> make_tokenizer_or_ids(const Model& model,
                                                 std::vector<std::string>* notes);

// What there is memory for: a sixteenth of --ram (nothing: auto), since a byte of text may become a
// token id of 4 B in a list that doubles as it grows.
TextLimit memory_text_limit(std::optional<std::int64_t> ram_bytes);
// Nor more text than -c tokens, or the model's whole context, could stand for.
TextLimit prompt_text_limit(const Options& options, const Model& model, const Tokenizer& tokenizer);

// -p, -f or --ids as token ids. A final newline of a file is dropped. Error(kUsage) unless exactly
// one was given, when there is no token, or an id is outside the vocabulary; Error(kNoSpace) for
// more than the context could hold.
std::vector<std::int32_t> read_prompt_ids(const Invocation& invocation, const Model& model,
                                          const Tokenizer& tokenizer);
// The ids of --ids, all within the vocabulary. Error(kUsage) for anything else in the file.
std::vector<std::int32_t> read_given_ids(const Options& options, const Model& model,
                                         const TextLimit& limit);
// The text of -p or -f.
std::string read_prompt_text(const Invocation& invocation, const TextLimit& limit);

// Error(kNoSpace) when the context (-c, else the model's) does not hold the prompt, with the -c
// that would hold it, and that which would also hold new_tokens after it.
void require_context(const Options& options, const Model& model, std::int64_t prompt_tokens,
                     std::int64_t new_tokens);

// Memory for the list of a run's token ids; with --json also for their JSON and its text.
std::int64_t id_list_bytes(const Options& options, std::int64_t n_tokens);

// Checked; all but context, rows, logits and table_bytes, which the command knows. Error(kUsage),
// Error(kUnsupported).
EngineOptions make_engine_options(const Options& options);

// What to measure, and where it is cached. model_path may be empty.
ProfileOptions make_profile_options(const Options& options, const EngineOptions& engine_options,
                                    const std::string& model_path);
// --profile's file; else the cached profile of this machine and the model's disk, measured first
// where there is none.
Profile obtain_profile(const Options& options, const EngineOptions& engine_options,
                       const std::string& model_path, ProgressDisplay& display);
// $XDG_CACHE_HOME/windlass or ~/.cache/windlass unless --cache-dir says otherwise. Error(kUsage)
// when neither is known.
std::string cache_dir(const Options& options);

// What --ram promises must be there. Error(kNoSpace) when the engine reserved more than the memory
// cgroup or the machine has, which would end the process; a warning on standard error when that
// leaves less than the 48 MiB that code and libraries take. Call before anything is loaded.
void check_memory(const Engine& engine);

// How a command ends: its result is printed, `json` with the receipt added under --json and else
// `text` with the receipt on standard error; --stats and --trace are written. What fails is thrown
// when all of them had their turn: none takes another's result away.
void finish_run(const Options& options, const Engine& engine, const Receipt& receipt,
                nlohmann::json json, const std::string& text);

}  // namespace windlass
