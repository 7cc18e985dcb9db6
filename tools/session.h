// What the commands that run or plan a model share: from options to an open model, its tokenizer, a
// machine profile and engine options; and how such a command ends.
#pragma once

#include <memory>
#include <string>

#include "pipeline/engine.h"
#include "pipeline/profile.h"
#include "src/model/model.h"
#include "src/text/tokenizer.h"
#include "tools/command.h"
#include "tools/progress.h"

namespace windlass {

// Error(kUsage) unless -m was given.
const std::string& require_model(const Options& options);

// The model's tokenizer; where there is none that this build reads, one that knows ids only (text
// comes out empty).
std::unique_ptr<Tokenizer> make_tokenizer_or_ids(const Model& model);

// -p, -f or --ids as token ids. A final newline of a file is dropped. Error(kUsage) unless exactly
// one was given, when there is no token, or an id is outside the vocabulary.
std::vector<std::int32_t> read_prompt_ids(const Invocation& invocation, const Tokenizer& tokenizer,
                                          std::int64_t n_vocab);
// The text of -p or -f.
std::string read_prompt_text(const Invocation& invocation);

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

// How a command ends: --trace and --stats are written.
void finish_run(const Options& options, const Engine& engine, const Receipt& receipt);

}  // namespace windlass
