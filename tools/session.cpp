#include "tools/session.h"

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "pipeline/doctor.h"
#include "src/base/error.h"
#include "src/base/output_target.h"
#include "src/base/units.h"
#include "tools/files.h"
#include "tools/ids_only_tokenizer.h"
#include "tools/interrupt.h"
#include "tools/json_output.h"

namespace windlass {
namespace {

constexpr int kMostThreads = 1024;
// A bandwidth test must leave the caches behind (some tens of MiB); more than this makes it no
// better.
constexpr std::int64_t kMostProfileBytes = 256 * kMiB;

void check_vram(const std::string& vram) {
  if (vram == "auto" || parse_size(vram, "--vram") == 0) return;
  if (const char* reason = no_gpu_reason()) {
    fail(ErrorCode::kUnsupported, "--vram {}: {}; use --vram 0 or leave it out", vram, reason);
  }
}

KvType kv_type(const Options& options) {
  if (options.cache_type_k != options.cache_type_v) {
    fail(ErrorCode::kUsage, "-ctk {} and -ctv {}: K and V must have the same type",
         options.cache_type_k, options.cache_type_v);
  }
  return options.cache_type_k == "f32" ? KvType::kF32 : KvType::kF16;
}

void require_not_negative(std::int64_t value, const char* flag) {
  if (value < 0) fail(ErrorCode::kUsage, "{} {}: must not be negative", flag, value);
}

}  // namespace

const std::string& require_model(const Options& options) {
  if (options.model.empty()) fail(ErrorCode::kUsage, "no model given: use -m MODEL.gguf");
  return options.model;
}

std::unique_ptr<Tokenizer> make_tokenizer_or_ids(const Model& model) {
  const auto n_vocab = static_cast<std::int32_t>(model.spec.n_vocab);
  if (model.tensors.find_string("tokenizer.ggml.model") == nullptr) {
    return make_ids_only_tokenizer(n_vocab, fmt::format("{} has no tokenizer", model.path));
  }
  try {
    return make_tokenizer(model.tensors);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kUnsupported) throw;
    return make_ids_only_tokenizer(n_vocab, error.what());
  }
}

std::string read_prompt_text(const Invocation& invocation) {
  const Options& options = invocation.options;
  if (!invocation.given("file")) return options.prompt;
  std::string text = read_text_file(options.file);
  if (text.ends_with('\n')) text.pop_back();  // editors add one
  return text;
}

std::vector<std::int32_t> read_prompt_ids(const Invocation& invocation, const Tokenizer& tokenizer,
                                          std::int64_t n_vocab) {
  const Options& options = invocation.options;
  const int sources =
      invocation.given("prompt") + invocation.given("file") + invocation.given("ids");
  if (sources != 1) {
    fail(ErrorCode::kUsage, "{}: use one of -p TEXT, -f FILE, --ids FILE",
         sources == 0 ? "no prompt given" : "more than one prompt given");
  }
  if (!invocation.given("ids")) {
    std::vector<std::int32_t> ids = tokenizer.encode(
        read_prompt_text(invocation),
        {.parse_special = !options.no_parse_special, .add_special = options.add_special});
    if (ids.empty()) fail(ErrorCode::kUsage, "the prompt is empty: give at least one token");
    return ids;
  }
  if (options.add_special || options.no_parse_special) {
    fail(ErrorCode::kUsage, "--add-special and --no-parse-special cannot act on --ids");
  }
  std::vector<std::int32_t> ids = read_ids_file(options.ids);
  if (ids.empty()) fail(ErrorCode::kUsage, "{} holds no token: give at least one", options.ids);
  const auto bad =
      std::find_if(ids.begin(), ids.end(), [&](std::int32_t id) { return id >= n_vocab; });
  if (bad != ids.end()) {
    fail(ErrorCode::kUsage, "{}: entry {} is {}, but the vocabulary has {} tokens", options.ids,
         bad - ids.begin(), *bad, n_vocab);
  }
  return ids;
}

EngineOptions make_engine_options(const Options& options) {
  require_not_negative(options.context_tokens, "-c");
  require_not_negative(options.micro_batch_tokens, "-ub");
  require_not_negative(options.threads, "-t");
  if (options.threads > kMostThreads) {
    fail(ErrorCode::kUsage, "-t {}: at most {}", options.threads, kMostThreads);
  }
  check_vram(options.vram);
  if (!options.stats.empty()) check_output_target(options.stats, options.model);
  EngineOptions engine;
  if (options.ram != "auto") engine.ram_bytes = parse_size(options.ram, "--ram");
  engine.micro_batch_tokens = options.micro_batch_tokens;
  engine.kv_type = kv_type(options);
  engine.activations = options.exact ? Activations::kExact : Activations::kInt8;
  engine.isa = choose_isa(options.isa);
  engine.threads = options.threads;
  engine.overlap = !options.no_overlap;
  engine.trace_path = options.trace;
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
  return {.model_path = model_path,
          .cache_dir = cache_dir(options),
          .isa = engine_options.isa,
          .threads = engine_options.threads > 0 ? engine_options.threads : usable_cores(),
          .memory_bytes = std::min(ram, kMostProfileBytes)};
}

Profile obtain_profile(const Options& options, const EngineOptions& engine_options,
                       const std::string& model_path, ProgressDisplay& display) {
  if (!options.profile.empty()) return read_profile(options.profile);
  const ProfileOptions profile_options = make_profile_options(options, engine_options, model_path);
  bool measured = false;
  Profile profile = load_or_measure_profile(
      profile_options,
      [&](double part, const char* what) {
        throw_if_interrupted();
        display.update(static_cast<std::int64_t>(part * 1000), 1000, what);
      },
      &measured);
  display.clear();
  if (measured) {
    fmt::print(stderr, "windlass: measured this machine: disk {}, memory {}; cached in {}\n",
               format_rate(profile.disk_bytes_per_s), format_rate(profile.dram_bytes_per_s),
               profile_cache_path(profile_options));
  }
  return profile;
}

void finish_run(const Options& options, const Engine& engine, const Receipt& receipt) {
  if (!options.trace.empty()) engine.write_trace();
  if (!options.stats.empty())
    write_file_atomically(options.stats, json_text(to_json(receipt)) + "\n");
}

}  // namespace windlass
