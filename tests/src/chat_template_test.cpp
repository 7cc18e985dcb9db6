// Chat templates against the output of the templates' own engine.
#include "src/text/chat_template.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "src/base/error.h"
#include "src/format/gguf.h"
#include "tests/support/catch.h"

namespace windlass {
namespace {

const std::string kGolden = WINDLASS_SOURCE_DIR "/tests/golden/";

std::vector<ChatMessage> messages_of(const nlohmann::json& row) {
  std::vector<ChatMessage> messages;
  for (const auto& message : row["messages"])
    messages.push_back({message["role"], message["content"]});
  return messages;
}

int check_golden_file(const std::string& file) {
  std::ifstream rows(kGolden + "chat_templates/" + file);
  int n_rows = 0;
  for (std::string line; std::getline(rows, line); ++n_rows) {
    const auto row = nlohmann::json::parse(line);
    INFO(file << " row " << n_rows + 1);
    CHECK(make_chat_template(row["template"].get<std::string>())
              ->render(messages_of(row), row["add_generation_prompt"]) ==
          row["expected"].get<std::string>());
  }
  return n_rows;
}

const std::string kPlainChatMl =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|im_end|>' + "
    "'\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

}  // namespace

TEST_CASE("SmolLM2's template renders every golden conversation byte for byte") {
  CHECK(check_golden_file("smollm2.jsonl") == 30);
}

TEST_CASE("plain ChatML renders every golden conversation byte for byte") {
  CHECK(check_golden_file("chatml.jsonl") == 30);
}

TEST_CASE("plain ChatML with escaped newlines adds no system message") {
  const auto chat = make_chat_template(kPlainChatMl);
  CHECK(chat->render({{"user", "a\\n{{b}}"}}, true) ==
        "<|im_start|>user\na\\n{{b}}<|im_end|>\n<|im_start|>assistant\n");
  CHECK(chat->render({}, false).empty());
}

TEST_CASE("the template that SmolLM2's file holds is recognised") {
  const auto chat = make_chat_template(read_gguf(kGolden + "tokenizer/smollm2-vocab.gguf"));
  REQUIRE(chat != nullptr);
  CHECK(chat->render({{"system", "s"}, {"user", "u"}}, false) ==
        "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nu<|im_end|>\n");
  CHECK_THAT(chat->render({{"user", "u"}}, false), Contains("named SmolLM"));
}

TEST_CASE("a file without a template gives none") {
  CHECK(make_chat_template(read_gguf(kGolden + "tokenizer/bpe4k-smollm.gguf")) == nullptr);
}

TEST_CASE("a template that differs by one character is refused with the way out") {
  std::string source = kPlainChatMl;
  source[10] = source[10] == 'x' ? 'y' : 'x';
  try {
    make_chat_template(source);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kUnsupported);
    CHECK_THAT(error.what(), Contains("--raw"));
  }
}

}  // namespace windlass
