// Chat templates against what transformers renders.
#include "src/text/chat_template.h"

#include <fstream>

#include "src/base/error.h"
#include "src/format/gguf.h"
#include "src/text/builtin_chat_templates.h"
#include "tests/support/catch.h"
#include "tests/support/tiny_model.h"
#include "tests/support/toy_tokenizer.h"

namespace windlass {
namespace {

const std::string kGolden = WINDLASS_SOURCE_DIR "/tests/golden/";

std::vector<nlohmann::ordered_json> golden_rows(const std::string& file) {
  std::ifstream lines(kGolden + "chat_templates/" + file);
  std::vector<nlohmann::ordered_json> rows;
  for (std::string line; std::getline(lines, line);)
    rows.push_back(nlohmann::ordered_json::parse(line));
  return rows;
}

// Text, or the error's message.
std::string outcome_of(const std::string& source, const nlohmann::ordered_json& row) {
  const nlohmann::ordered_json tools = row.contains("tools") ? row["tools"] : nullptr;
  try {
    return ChatTemplate(source, "t", {row["bos_token"], row["eos_token"]})
        .render_json(row["messages"], tools, row["add_generation_prompt"]);
  } catch (const Error& error) {
    return error.what();
  }
}

void check_row(const std::string& source, const nlohmann::ordered_json& row) {
  const std::string outcome = outcome_of(source, row);
  if (row["expected"].is_null()) {
    CHECK_THAT(outcome, Contains(row["error"].get<std::string>()));
    CHECK(outcome.find('\n') == std::string::npos);
  } else {
    CHECK(outcome == row["expected"].get<std::string>());
  }
}

std::string error_of(const std::string& source) {
  try {
    ChatTemplate(source, "t.jinja", {}).render({{"user", "u"}}, nullptr, true);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::string vocabulary_file(const std::string& name) { return kGolden + "tokenizer/" + name; }

}  // namespace

TEST_CASE("every golden conversation renders byte for byte, or is refused with its message") {
  for (const auto& [file, n_rows] : {std::pair("families.jsonl", 274), {"smollm2.jsonl", 30}}) {
    const auto rows = golden_rows(file);
    CHECK(static_cast<int>(rows.size()) == n_rows);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      INFO(file << " row " << i + 1);
      check_row(rows[i]["template"], rows[i]);
    }
  }
}

TEST_CASE("built-in templates render the golden conversations of their families") {
  std::map<std::string, int> rows_of;
  for (const auto& row : golden_rows("families.jsonl")) {
    for (const BuiltinChatTemplate& builtin : builtin_chat_templates()) {
      if (builtin.name != row["name"].get<std::string>()) continue;
      INFO(builtin.name << ", " << row["messages"].dump());
      check_row(std::string(builtin.source), row);
      ++rows_of[std::string(builtin.name)];
    }
  }
  CHECK(rows_of.size() == builtin_chat_templates().size());
  CHECK(make_builtin_chat_template("chatml", {}) != nullptr);
  CHECK(make_builtin_chat_template("chatlm", {}) == nullptr);
}

TEST_CASE("the template that SmolLM2's file holds is used") {
  const auto chat = make_chat_template(read_gguf(vocabulary_file("smollm2-vocab.gguf")), {}, false);
  REQUIRE(chat != nullptr);
  CHECK(chat->render({{"system", "s"}, {"user", "u"}}, nullptr, false) ==
        "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nu<|im_end|>\n");
  CHECK_THAT(chat->render({{"user", "u"}}, nullptr, false), Contains("named SmolLM"));
}

TEST_CASE("a file without a template gives none") {
  CHECK(make_chat_template(read_gguf(vocabulary_file("bpe4k-smollm.gguf")), {}, true) == nullptr);
}

TEST_CASE("with tools, the template named tool_use goes before the other") {
  TensorTable table;
  table.metadata["tokenizer.chat_template"] = std::string("plain");
  table.metadata["tokenizer.chat_template.tool_use"] = std::string("{{ tools | length }}");
  CHECK(make_chat_template(table, {}, false)->render({{"user", "u"}}, nullptr, true) == "plain");
  CHECK(make_chat_template(table, {}, true)
            ->render({{"user", "u"}}, nlohmann::ordered_json::parse("[{}, {}]"), true) == "2");
}

TEST_CASE("a template sees the tokens that tokenizer_config.json names, and no others") {
  const testing::TempDir folder;
  TensorTable table;
  table.folder = folder.file("");
  const testing::ToyTokenizer tokenizer({"<s>", "</s>"}, {});
  const auto rendered = [&](const char* config, const char* source) {
    testing::write_file(folder.file("tokenizer_config.json"), config);
    return ChatTemplate(source, "test", chat_tokens(table, tokenizer)).render({}, nullptr, true);
  };
  const char* const source =
      "[{{ bos_token }}|{{ eos_token }}|{{ pad_token }}|{{ unk_token }}|{{ bos_token is defined }}|"
      "{{ additional_special_tokens | join(' ') }}]";
  CHECK(rendered(R"({"bos_token": null, "eos_token": {"content": "E"}, "pad_token": "P",
                     "unk_token": null, "additional_special_tokens": ["A", {"content": "B"}]})",
                 source) == "[|E|P||False|A B]");
  CHECK(rendered(R"({"bos_token": "B"})", source) == "[B||||True|]");
}

TEST_CASE("a template of a GGUF sees its padding and unknown tokens") {
  TensorTable table;
  table.metadata["tokenizer.ggml.padding_token_id"] = std::int64_t{1};
  table.metadata["tokenizer.ggml.unknown_token_id"] = std::int64_t{0};
  const testing::ToyTokenizer tokenizer({"<unk>", "<pad>"}, {});
  const ChatTemplate chat("[{{ bos_token }}|{{ pad_token }}|{{ unk_token }}]", "test",
                          chat_tokens(table, tokenizer));
  CHECK(chat.render({}, nullptr, true) == "[|<pad>|<unk>]");
}

TEST_CASE("an error is one line that names the template, its line and the construct") {
  CHECK(error_of("a\n{% include 'x' %}") == "t.jinja, line 2: the tag 'include' is not supported");
  CHECK(error_of("\n\n{{ x | nothing }}") == "t.jinja, line 3: unknown filter 'nothing'");
  CHECK(error_of("{{ messages[0].a.b }}") == "t.jinja, line 1: 'dict object' has no attribute 'a'");
  CHECK(error_of("{% for x in messages %}\n{{ x }") == "t.jinja, line 2: unexpected '}'");
  CHECK(error_of("{% if x %}\n\n") == "t.jinja, line 1: the block that begins here has no 'endif'");
  CHECK(error_of("x\n{{ raise_exception('two\nlines') }}") == "t.jinja, line 2: two lines");
  CHECK(error_of("{{ 'a' +\n1 }}") ==
        "t.jinja, line 1: can only concatenate str (not \"int\") to str");
  CHECK(error_of("{{ messages.append(1) }}") ==
        "t.jinja, line 1: 'append' of a list: the sandbox of chat templates lets no value be "
        "changed");
}

TEST_CASE("a template is known for the built-in one that renders as it does") {
  for (const BuiltinChatTemplate& builtin : builtin_chat_templates()) {
    CHECK(equal_builtin_chat_template(builtin.source) == builtin.name);
  }
  // The same prompts from another text.
  CHECK(equal_builtin_chat_template(
            "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + "
            "'<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}"
            "{{ '<|im_start|>assistant\\n' }}{% endif %}") == "chatml");
  CHECK(equal_builtin_chat_template("{{ messages[0].content }}").empty());
  CHECK(equal_builtin_chat_template("{% for %}").empty());
}

}  // namespace windlass
