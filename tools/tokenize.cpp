// windlass tokenize: text to ids. Needs a vocabulary only: no weights, no model.
#include "src/base/error.h"
#include "src/text/tokenizer.h"
#include "tools/files.h"
#include "tools/interrupt.h"
#include "tools/json_output.h"
#include "tools/session.h"

namespace windlass {
namespace {

void answer(const std::vector<std::int32_t>& ids, bool json) {
  print_json(json ? nlohmann::json{{"ids", ids}} : nlohmann::json(ids));
}

void answer_lines(const Tokenizer& tokenizer, const TokenizeOptions& tokenize_options, bool json,
                  const TextLimit& limit) {
  std::string line;
  for (std::int64_t number = 1; read_line(line, limit); ++number) {
    const nlohmann::json text = nlohmann::json::parse(line, nullptr, false);
    if (!text.is_string())
      fail(ErrorCode::kUsage, "standard input: line {} is not a JSON string", number);
    answer(tokenizer.encode(text.get_ref<const std::string&>(), tokenize_options), json);
  }
  throw_if_interrupted();
}

}  // namespace

int tokenize_command(const Invocation& invocation) {
  const Options& options = invocation.options;
  if (invocation.given("prompt") + invocation.given("file") + options.from_stdin != 1) {
    fail(ErrorCode::kUsage, "give the text with one of -p TEXT, -f FILE, --stdin");
  }
  const auto tokenizer = read_tokenizer(require_model(options));
  const TokenizeOptions tokenize_options{.parse_special = !options.no_parse_special,
                                         .add_special = options.add_special};
  const TextLimit limit = memory_text_limit(std::nullopt);
  if (options.from_stdin) {
    answer_lines(*tokenizer, tokenize_options, options.json, limit);
  } else {
    if (invocation.given("prompt")) require_utf8(options.prompt, "-p");
    // The file as it is, its last newline too: ids stand for every byte.
    const std::string text =
        invocation.given("file") ? read_text_file(options.file, limit) : options.prompt;
    answer(tokenizer->encode(text, tokenize_options), options.json);
  }
  return 0;
}

}  // namespace windlass
