#include "tools/bench_plan.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string_view>

#include "src/base/error.h"
#include "tools/session.h"

namespace windlass {
namespace {

constexpr std::int64_t kMostNumber = std::int64_t{1} << 30;
constexpr std::size_t kMostValues = 1000;  // of a list
constexpr std::size_t kMostTests = 10000;

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

[[noreturn]] void refuse(const char* flag, const std::string& value) {
  fail(ErrorCode::kUsage,
       "{} {}: a number, a list such as 1,2,4, or a range such as 1-4, 128-512+128 or 1-16*2 is "
       "wanted",
       flag, value);
}

// Takes a number off the front of `rest`.
std::int64_t take_number(std::string_view& rest, const char* flag, const std::string& value) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
  if (error != std::errc() || number < 0 || rest.front() == '-') refuse(flag, value);
  if (number > kMostNumber) fail(ErrorCode::kUsage, "{} {}: at most {}", flag, value, kMostNumber);
  rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  return number;
}

// first, first + step or first * factor, ... up to last.
void add_range(const std::string& value, const char* flag, std::vector<std::int64_t>& out) {
  std::string_view rest = value;
  const std::int64_t first = take_number(rest, flag, value);
  std::int64_t last = first, step = 1;
  bool multiply = false;
  if (rest.starts_with('-')) {
    rest.remove_prefix(1);
    last = take_number(rest, flag, value);
    if (rest.starts_with('+') || rest.starts_with('*')) {
      multiply = rest.front() == '*';
      rest.remove_prefix(1);
      step = take_number(rest, flag, value);
    }
  }
  if (!rest.empty() || last < first) refuse(flag, value);
  if (multiply ? step < 2 || first < 1 : step < 1) refuse(flag, value);
  for (std::int64_t i = first; i <= last; i = multiply ? i * step : i + step) {
    if (out.size() == kMostValues)
      fail(ErrorCode::kUsage, "{} {}: more than {} values", flag, value, kMostValues);
    out.push_back(i);
  }
}

struct PromptAndGen {
  std::int64_t n_prompt = 0, n_gen = 0;
};

std::vector<PromptAndGen> parse_pairs(const std::vector<std::string>& values) {
  std::vector<PromptAndGen> pairs;
  for (const std::string& value : values) {
    const std::vector<std::int64_t> numbers = parse_number_list({value}, "-pg", 0);
    if (numbers.size() != 2 || numbers[0] + numbers[1] == 0)
      fail(ErrorCode::kUsage, "-pg {}: two numbers are wanted, such as 512,128", value);
    pairs.push_back({numbers[0], numbers[1]});
  }
  return pairs;
}

// A name with a comma in it may be a file's.
std::vector<std::string> model_paths(const Options& options) {
  std::vector<std::string> paths;
  for (const std::string& value : options.models) {
    std::error_code no_file;
    if (std::filesystem::exists(value, no_file)) {
      paths.push_back(value);
    } else {
      for (std::string& path : split(value)) paths.push_back(std::move(path));
    }
  }
  if (paths.empty())
    fail(ErrorCode::kUsage, "no model given: use -m MODEL.gguf, or a Hugging Face folder");
  return paths;
}

std::vector<std::string> kv_types(const std::vector<std::string>& values, const char* flag) {
  std::vector<std::string> types;
  for (const std::string& value : values) {
    for (std::string& type : split(value)) {
      const std::vector<std::string>& known = kv_type_names();
      if (std::find(known.begin(), known.end(), type) == known.end()) {
        fail(ErrorCode::kUsage, "{} {}: one of {} is wanted", flag, type, fmt::join(known, ", "));
      }
      types.push_back(std::move(type));
    }
  }
  return types;
}

// The lists, parsed, and what is the same in all combinations.
class Combinations {
 public:
  explicit Combinations(const Options& options)
      : options_(options),
        models_(model_paths(options)),
        batches_(parse_number_list(options.bench.batch_tokens, "-b", 1)),
        micro_batches_(parse_number_list(options.bench.micro_batch_tokens, "-ub", 0)),
        types_k_(kv_types(options.bench.type_k, "-ctk")),
        types_v_(kv_types(options.bench.type_v, "-ctv")),
        threads_(parse_number_list(options.bench.threads, "-t", 0)),
        depths_(parse_number_list(options.bench.n_depth, "-d", 0)),
        sequences_(parse_number_list(options.bench.n_seq, "-np", 1)),
        prompts_(parse_number_list(options.bench.n_prompt, "-p", 0)),
        gens_(parse_number_list(options.bench.n_gen, "-n", 0)),
        pairs_(parse_pairs(options.bench.prompt_gen)) {}

  BenchPlan plan() {
    for (const std::string& model : models_) {
      for (const std::int64_t batch : batches_) {
        for (const std::int64_t micro_batch : micro_batches_) add_types(model, batch, micro_batch);
      }
    }
    return std::move(plan_);
  }

 private:
  void add_types(const std::string& model, std::int64_t batch, std::int64_t micro_batch) {
    BenchGroup group{model, options_, batch, {}};
    group.options.micro_batch_tokens = micro_batch;
    for (const std::string& type_k : types_k_) {
      for (const std::string& type_v : types_v_) {
        group.options.cache_type_k = type_k;
        group.options.cache_type_v = type_v;
        add_threads(group);
      }
    }
  }

  void add_threads(BenchGroup& group) {
    for (const std::int64_t threads : threads_) {
      group.options.threads = static_cast<int>(threads);
      make_engine_options(group.options);  // says what is wrong with it
      for (const std::int64_t depth : depths_) {
        for (const std::int64_t n_seq : sequences_) add_group(group, depth, n_seq);
      }
    }
  }

  void add_group(BenchGroup& group, std::int64_t depth, std::int64_t n_seq) {
    group.tests.clear();
    for (const std::int64_t n : prompts_) {
      if (n > 0) group.tests.push_back({n, 0, depth, n_seq});
    }
    for (const std::int64_t n : gens_) {
      if (n > 0) group.tests.push_back({0, n, depth, n_seq});
    }
    for (const PromptAndGen& pair : pairs_)
      group.tests.push_back({pair.n_prompt, pair.n_gen, depth, n_seq});
    n_tests_ += group.tests.size();
    if (n_tests_ > kMostTests)
      fail(ErrorCode::kUsage, "more than {} tests: give shorter lists", kMostTests);
    if (!group.tests.empty()) plan_.groups.push_back(group);
  }

  const Options& options_;
  std::vector<std::string> models_;
  std::vector<std::int64_t> batches_, micro_batches_;
  std::vector<std::string> types_k_, types_v_;
  std::vector<std::int64_t> threads_, depths_, sequences_, prompts_, gens_;
  std::vector<PromptAndGen> pairs_;
  BenchPlan plan_;
  std::size_t n_tests_ = 0;
};

}  // namespace

std::vector<std::int64_t> parse_number_list(const std::vector<std::string>& values,
                                            const char* flag, std::int64_t least) {
  std::vector<std::int64_t> numbers;
  for (const std::string& value : values) {
    for (const std::string& part : split(value)) add_range(part, flag, numbers);
  }
  for (const std::int64_t number : numbers) {
    if (number < least) fail(ErrorCode::kUsage, "{} {}: at least {}", flag, number, least);
  }
  return numbers;
}

std::int64_t BenchGroup::context_tokens() const {
  std::int64_t most = 0;
  for (const SpeedCase& test : tests) most = std::max(most, test.context_tokens());
  return most;
}

std::int64_t BenchPlan::n_tests() const {
  std::int64_t n = 0;
  for (const BenchGroup& group : groups) n += std::ssize(group.tests);
  return n;
}

BenchPlan make_bench_plan(const Options& options) {
  if (options.bench.repetitions < 1)
    fail(ErrorCode::kUsage, "-r {}: at least 1", options.bench.repetitions);
  BenchPlan plan = Combinations(options).plan();
  if (plan.groups.empty())
    fail(ErrorCode::kUsage, "no test: give -p, -n or -pg more than 0 tokens");
  return plan;
}

}  // namespace windlass
