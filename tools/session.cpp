#include "tools/session.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "pipeline/doctor.h"
#include "pipeline/memory_limits.h"
#include "src/base/error.h"
#include "src/base/output_file.h"
#include "src/base/units.h"
#include "tools/files.h"
#include "tools/ids_only_tokenizer.h"
#include "tools/interrupt.h"
#include "tools/json_output.h"
#include "tools/thread_count.h"

namespace windlass {
namespace {

// A bandwidth test must leave the caches behind (some tens of MiB); more than this makes it no
// better.
constexpr std::int64_t kMostProfileBytes = 256 * kMiB;
// A text of this size is read in any case: what is wrong with it is then said better elsewhere.
constexpr std::int64_t kLeastTextBytes = 64 * kKiB;
// Ten digits, a comma, and a line of its own with a deep indentation.
constexpr std::int64_t kIdTextBytes = 32;

// auto: none; kernels that no card has run are for those who ask for them.
std::int64_t vram_bytes(const std::string& vram) {
  const std::int64_t bytes = vram == "auto" ? 0 : parse_size(vram, "--vram");
  if (bytes == 0) return 0;
  if (const char* reason = no_gpu_reason()) {
    fail(ErrorCode::kUnsupported, "--vram {}: {}; use --vram 0 or leave it out", vram, reason);
  }
  return bytes;
}

KvType kv_type(const std::string& name) {  // the flags let no other names through
  const auto* found = std::find_if(std::begin(kKvTypes), std::end(kKvTypes),
                                   [&](KvType type) { return name == kv_type_name(type); });
  return *found;
}

std::optional<std::int64_t> ram_bytes(const Options& options) {
  if (options.ram == "auto") return std::nullopt;
  return parse_size(options.ram, "--ram");
}

std::int64_t context_tokens(const Options& options, const Model& model) {
  return options.context_tokens > 0 ? options.context_tokens : model.spec.context_length;
}

TextLimit context_ids_limit(const Options& options, const Model& model) {
  const std::int64_t most = context_tokens(options, model);
  return {kLeastTextBytes + most * kIdTextBytes,
          fmt::format("the most that a context of {} token ids is worth", most)};
}

// Spare rows are common (sizes are rounded up for speed), and so are special tokens past the last
// row (those of a vision tower); text must not become one.
void check_vocabulary_size(const Tokenizer& tokenizer, const Model& model) {
  for (std::int64_t id = model.spec.n_vocab; id < tokenizer.n_vocab(); ++id) {
    if (tokenizer.token_bytes(static_cast<std::int32_t>(id), false).empty()) continue;
    fail(ErrorCode::kBadFile, "{}: the tokenizer has {} tokens, but 'token_embd.weight' {} rows",
         model.path, tokenizer.n_vocab(), model.spec.n_vocab);
  }
}

void require_not_negative(std::int64_t value, const char* flag) {
  if (value < 0) fail(ErrorCode::kUsage, "{} {}: must not be negative", flag, value);
}

// The file to read for the speed of a model's disk: of a folder the largest, most likely weights.
std::string file_to_probe(const std::string& model_path) {
  std::string largest = model_path;
  std::uintmax_t largest_bytes = 0;
  std::error_code no_folder;
  for (const auto& entry : std::filesystem::directory_iterator(model_path, no_folder)) {
    std::error_code gone;
    const std::uintmax_t size_bytes = entry.is_regular_file(gone) ? entry.file_size(gone) : 0;
    if (gone || size_bytes <= largest_bytes) continue;
    largest = entry.path().string();
    largest_bytes = size_bytes;
  }
  return largest;
}

}  // namespace

const std::string& require_model(const Options& options) {
  if (options.model.empty())
    fail(ErrorCode::kUsage, "no model given: use -m MODEL.gguf, or a Hugging Face folder");
  return options.model;
}

std::unique_ptr<Tokenizer> make_tokenizer_or_ids(const Model& model,
                                                 std::vector<std::string>* notes) {
  std::string reason;
  try {
    if (has_tokenizer(model.tensors)) {
      auto tokenizer = make_tokenizer(model.tensors);
      check_vocabulary_size(*tokenizer, model);
      return tokenizer;
    }
    reason = model.path + " has no tokenizer";
  } catch (const Error& error) {
    reason = error.what();
  }
  notes->push_back("no text comes out, only token ids (--json): " + reason);
  const auto eos_id =
      model.tensors.find_int("tokenizer.ggml.eos_token_id", 0, model.spec.n_vocab - 1);
  return make_ids_only_tokenizer(
      static_cast<std::int32_t>(model.spec.n_vocab),
      eos_id ? std::optional(static_cast<std::int32_t>(*eos_id)) : std::nullopt, reason);
}

TextLimit memory_text_limit(std::optional<std::int64_t> ram_bytes) {
  const std::int64_t ram = ram_bytes ? *ram_bytes : auto_ram_bytes();
  return {std::max(ram / 16, kLeastTextBytes),
          fmt::format("the most that --ram {} has room for", format_size(ram))};
}

TextLimit prompt_text_limit(const Options& options, const Model& model,
                            const Tokenizer& tokenizer) {
  const std::int64_t tokens = context_tokens(options, model);
  std::size_t longest_token = 0;
  for (std::int32_t id = 0; id < tokenizer.n_vocab(); ++id)
    longest_token = std::max(longest_token, tokenizer.token_bytes(id, true).size());
  const std::int64_t bytes = tokens * static_cast<std::int64_t>(longest_token);
  const TextLimit memory = memory_text_limit(ram_bytes(options));
  if (memory.bytes <= bytes) return memory;
  return {std::max(bytes, kLeastTextBytes),
          fmt::format("the most that a context of {} tokens can hold", tokens)};
}

std::vector<std::int32_t> read_given_ids(const Options& options, const Model& model,
                                         const TextLimit& limit) {
  if (options.add_special || options.no_parse_special) {
    fail(ErrorCode::kUsage, "--add-special and --no-parse-special cannot act on --ids");
  }
  std::vector<std::int32_t> ids = read_ids_file(options.ids, limit);
  if (ids.empty()) fail(ErrorCode::kUsage, "{} holds no token: give at least one", options.ids);
  const auto bad = std::find_if(ids.begin(), ids.end(),
                                [&](std::int32_t id) { return id >= model.spec.n_vocab; });
  if (bad != ids.end()) {
    fail(ErrorCode::kUsage, "{}: entry {} is {}, but the vocabulary has {} tokens", options.ids,
         bad - ids.begin(), *bad, model.spec.n_vocab);
  }
  return ids;
}

std::string read_prompt_text(const Invocation& invocation, const TextLimit& limit) {
  const Options& options = invocation.options;
  if (!invocation.given("file")) {
    require_utf8(options.prompt, "-p");
    return options.prompt;
  }
  std::string text = read_text_file(options.file, limit);
  if (text.ends_with('\n')) text.pop_back();  // editors add one
  return text;
}

std::vector<std::int32_t> read_prompt_ids(const Invocation& invocation, const Model& model,
                                          const Tokenizer& tokenizer) {
  const Options& options = invocation.options;
  const int sources =
      invocation.given("prompt") + invocation.given("file") + invocation.given("ids");
  if (sources != 1) {
    fail(ErrorCode::kUsage, "{}: use one of -p TEXT, -f FILE, --ids FILE",
         sources == 0 ? "no prompt given" : "more than one prompt given");
  }
  if (invocation.given("ids"))
    return read_given_ids(options, model, context_ids_limit(options, model));
  const std::string text =
      read_prompt_text(invocation, prompt_text_limit(options, model, tokenizer));
  std::vector<std::int32_t> ids = tokenizer.encode(
      text, {.parse_special = !options.no_parse_special, .add_special = options.add_special});
  if (ids.empty()) fail(ErrorCode::kUsage, "the prompt is empty: give at least one token");
  return ids;
}

void require_context(const Options& options, const Model& model, std::int64_t prompt_tokens,
                     std::int64_t new_tokens) {
  if (prompt_tokens <= context_tokens(options, model)) return;
  if (prompt_tokens > model.spec.context_length) {
    fail(ErrorCode::kNoSpace, "the prompt has {} tokens, but {} was trained for {}: shorten it",
         prompt_tokens, model.path, model.spec.context_length);
  }
  // The last token is not fed back, so it takes no room.
  const std::int64_t all = prompt_tokens + std::max<std::int64_t>(new_tokens - 1, 0);
  const std::string at_least =
      all > prompt_tokens ? fmt::format(" ({} for one token)", prompt_tokens) : std::string();
  fail(ErrorCode::kNoSpace,
       "the prompt has {} tokens and the context {} (-c): use -c {}{} or a shorter prompt",
       prompt_tokens, options.context_tokens, all, at_least);
}

std::int64_t id_list_bytes(const Options& options, std::int64_t n_tokens) {
  // 4 B an id; 16 B a JSON number; 6 characters and a comma, in a text that doubles as it grows.
  return n_tokens * (options.json ? 4 + 16 + 14 : 4);
}

EngineOptions make_engine_options(const Options& options) {
  require_not_negative(options.context_tokens, "-c");
  require_not_negative(options.micro_batch_tokens, "-ub");
  check_threads(options.threads);
  EngineOptions engine;
  engine.vram_bytes = vram_bytes(options.vram);
  engine.ram_bytes = ram_bytes(options);
  engine.micro_batch_tokens = options.micro_batch_tokens;
  engine.kv_types = {kv_type(options.cache_type_k), kv_type(options.cache_type_v)};
  engine.activations = options.exact ? Activations::kExact : Activations::kInt8;
  engine.isa = choose_isa(options.isa);
  engine.threads = options.threads;
  engine.check_tensors = options.check_tensors;
  engine.overlap = !options.no_overlap;
  engine.trace_path = options.trace;
  engine.interrupted = interrupted;
  return engine;
}

std::string cache_dir(const Options& options) {
  if (!options.cache_dir.empty()) return options.cache_dir;
  if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg != nullptr && *xdg == '/') {
    return std::string(xdg) + "/windlass";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') {
    return std::string(home) + "/.cache/windlass";
  }
  fail(ErrorCode::kUsage, "HOME is not set: say where to cache with --cache-dir DIR");
}

ProfileOptions make_profile_options(const Options& options, const EngineOptions& engine_options,
                                    const std::string& model_path) {
  const std::int64_t ram = engine_options.ram_bytes.value_or(auto_ram_bytes());
  return {.model_path = file_to_probe(model_path),
          .cache_dir = cache_dir(options),
          .isa = engine_options.isa,
          .threads = engine_options.threads > 0 ? engine_options.threads : usable_cores(),
          .memory_bytes = std::min(ram, kMostProfileBytes)};
}

Profile obtain_profile(const Options& options, const EngineOptions& engine_options,
                       const std::string& model_path, ProgressDisplay& display) {
  if (!options.profile.empty()) return read_profile(options.profile);
  const ProfileOptions profile_options = make_profile_options(options, engine_options, model_path);
  const CachedProfile cached =
      load_or_measure_profile(profile_options, [&](double part, const char* what) {
        throw_if_interrupted();
        display.update(static_cast<std::int64_t>(part * 1000), 1000, what);
      });
  display.clear();
  if (cached.measured) {
    fmt::print(stderr, "windlass: measured this machine: disk {}, memory {}; {}\n",
               format_rate(cached.profile.disk_bytes_per_s),
               format_rate(cached.profile.dram_bytes_per_s),
               cached.not_cached.empty() ? "cached in " + profile_cache_path(profile_options)
                                         : "not kept for the next time: " + cached.not_cached);
  }
  return cached.profile;
}

void check_memory(const Engine& engine) {
  std::int64_t reserved_bytes = 0;
  for (const TierReceipt& tier : engine.receipt().tiers)
    if (tier.tier == Tier::kHost) reserved_bytes = tier.peak_bytes;
  const MemoryVerdict verdict = judge_memory(reserved_bytes, read_memory_limits());
  if (verdict.kind == MemoryVerdict::Kind::kImpossible) {
    throw Error(ErrorCode::kNoSpace, verdict.reason);
  }
  if (verdict.kind == MemoryVerdict::Kind::kTight) {
    fmt::print(stderr, "windlass: warning: {}\n", verdict.reason);
  }
}

void finish_run(const Options& options, const Engine& engine, const Receipt& receipt,
                nlohmann::json json, const std::string& text) {
  std::optional<Error> first_error;
  const auto attempt = [&](const auto& step) {
    try {
      step();
    } catch (const Error& error) {
      if (!first_error) first_error = error;
    }
  };
  attempt([&] {
    if (options.json) json["receipt"] = to_json(receipt);
    print(options.json ? json_text(json) + "\n" : text);
  });
  if (!options.json) std::fputs(format_receipt(receipt).c_str(), stderr);
  attempt([&] {
    if (!options.stats.empty()) write_whole_file(options.stats, json_text(to_json(receipt)) + "\n");
  });
  attempt([&] {
    if (!options.trace.empty()) engine.write_trace();
  });
  if (first_error) throw Error(*first_error);
}

}  // namespace windlass
