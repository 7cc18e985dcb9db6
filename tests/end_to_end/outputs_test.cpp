// Where results go: checked before any work, never over an input, and nothing half written is left.
#include <sys/stat.h>

#include "tests/end_to_end/program.h"
#include "tests/support/catch.h"

namespace windlass::test {
namespace {

namespace fs = std::filesystem;

// A folder with a text, ids, and a small model that has a tokenizer.
struct Inputs {
  Inputs() {
    windlass_json({"synth", model, "--layers", "1", "--embd", "64", "--ffn", "128", "--heads", "4",
                   "--tokenizer", vocabulary});
    write_bytes(text, "Some text.\n");
    write_ids(ids, {1, 2, 3});
  }
  Folder folder;
  std::string vocabulary = golden("tokenizer/bpe4k-smollm.gguf");
  std::string model = folder / "model.gguf", text = folder / "text.txt", ids = folder / "ids.json";
};

// Refused in one line, before the model was loaded: the file is still what it was.
void check_refused(const Arguments& arguments, const std::string& file, int exit_status,
                   const std::string& says, const ProcessOptions& options = {}) {
  const std::string before = fs::is_regular_file(file) ? read_bytes(file) : "";
  const ProcessResult result = windlass(arguments, options);
  INFO(nlohmann::json(arguments).dump() << "\n" << result.err);
  CHECK(result.exit_status == exit_status);
  CHECK_THAT(result.err, Contains(says) && !Contains("receipt"));
  CHECK(result.out.empty());
  CHECK((fs::is_regular_file(file) ? read_bytes(file) : "") == before);
}

TEST_CASE("an output is never one of the inputs, by whatever name") {
  const Inputs in;
  fs::create_hard_link(in.text, in.folder / "hard");
  fs::create_symlink("model.gguf", in.folder / "soft");
  write_bytes(in.folder / "a.toml", "temp = 0\n");
  fs::copy_file(golden("machine_profile.json"), in.folder / "hw.json");
  const Arguments run = {"run", "-m", in.model, "--raw", "-n", "1"};
  const auto with = [](Arguments arguments, const Arguments& more) {
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  const std::string replace = "would replace";
  for (const char* flag : {"--stats", "--trace"}) {
    check_refused(with(run, {"-f", in.text, flag, in.text}), in.text, 2, replace);
    check_refused(with(run, {"-f", in.text, flag, in.folder / "hard"}), in.text, 2, replace);
    check_refused(with(run, {"--ids", in.ids, flag, in.ids}), in.ids, 2, replace);
    check_refused(with(run, {"-p", "x", flag, in.folder / "soft"}), in.model, 2, replace);
    check_refused(
        with(run, {"-p", "x", "--config", in.folder / "a.toml", flag, in.folder / "a.toml"}),
        in.folder / "a.toml", 2, replace);
    check_refused(
        with(run, {"-p", "x", "--profile", in.folder / "hw.json", flag, in.folder / "hw.json"}),
        in.folder / "hw.json", 2, replace);
  }
  check_refused({"logits", "-m", in.model, "--ids", in.ids, "-o", in.ids}, in.ids, 2, replace);
  check_refused({"perplexity", "-m", in.model, "-f", in.text, "--stats", in.text}, in.text, 2,
                replace);
  check_refused({"profile", "-m", in.model, "-o", in.model, "--cache-dir", in.folder / "cache"},
                in.model, 2, replace);
  check_refused({"synth", in.model, "--layers", "1", "--embd", "64", "--ffn", "128", "--heads", "4",
                 "--tokenizer", in.model},
                in.model, 2, replace);
  const std::string out = in.folder / "out";
  check_refused(with(run, {"-p", "x", "--stats", out, "--trace", in.folder / "./out"}), out, 2,
                replace);
  CHECK_FALSE(fs::exists(out));
}

TEST_CASE("a place that cannot be written to is noticed before anything runs") {
  const Inputs in;
  const std::string absent = in.folder / "absent/out";
  const Arguments run = {"run", "-m", in.model, "--raw", "-n", "1", "-p", "x"};
  for (const char* flag : {"--stats", "--trace"}) {
    Arguments arguments = run;
    arguments.insert(arguments.end(), {flag, absent});
    check_refused(arguments, absent, 1, "absent/out");
    arguments.back() = in.text + "/out";
    check_refused(arguments, absent, 1, "text.txt/out");
    arguments.back() = "/dev/null";
    check_refused(arguments, absent, 2, "/dev/null");
  }
  check_refused({"logits", "-m", in.model, "-p", "x", "-o", absent}, absent, 1, "absent/out");
  check_refused({"profile", "-m", in.model, "-o", absent, "--cache-dir", in.folder / "cache"},
                absent, 1, "absent/out");
  check_refused({"profile", "-m", in.model, "--cache-dir", in.text + "/cache"}, absent, 1,
                "--cache-dir");
  CHECK(in.folder.n_files() == 3);
}

TEST_CASE("results go through symbolic links, keep permissions, and leave a .partial alone") {
  const Inputs in;
  const std::string real = in.folder / "real.json", link = in.folder / "link.json";
  write_bytes(real, "before");
  REQUIRE(::chmod(real.c_str(), 0600) == 0);
  fs::create_symlink("real.json", link);
  write_bytes(real + ".partial", "mine");
  windlass_json({"run", "-m", in.model, "--raw", "-n", "1", "-p", "x", "--stats", link});
  CHECK(fs::is_symlink(link));
  CHECK(nlohmann::json::parse(read_bytes(real)).contains("decode"));
  CHECK(fs::status(real).permissions() == (fs::perms::owner_read | fs::perms::owner_write));
  CHECK(read_bytes(real + ".partial") == "mine");
  CHECK(in.folder.n_files() == 6);
}

TEST_CASE("a full disk behind standard output is an error, and the other results are there") {
  const Inputs in;
  const ProcessOptions full{.shell = "exec \"$@\" > /dev/full"};
  const std::string stats = in.folder / "stats.json";
  const ProcessResult run = windlass(
      {"run", "-m", in.model, "--raw", "-n", "1", "-p", "x", "--json", "--stats", stats}, full);
  CHECK(run.exit_status == 1);
  CHECK_THAT(run.err, Contains("cannot write standard output"));
  CHECK(nlohmann::json::parse(read_bytes(stats)).contains("decode"));
}

TEST_CASE("a result that cannot be written takes no other result away") {
  const Inputs in;
  const std::string trace = in.folder / "trace.json", stats = in.folder / "stats.json";
  // No file of more than 512 B: the receipt has more, and the probe at the start has none.
  const ProcessResult run = windlass({"run", "-m", in.model, "--raw", "-n", "3", "-p", "x",
                                      "--ignore-eos", "--json", "--stats", stats, "--trace", trace},
                                     {.shell = "ulimit -f 1; exec \"$@\""});
  CHECK(run.signal == 0);
  CHECK(run.exit_status == 1);
  CHECK_THAT(run.err, Contains("stats.json: writing after"));
  const std::string first_line = run.out.substr(0, run.out.find('\n'));
  CHECK(nlohmann::json::parse(first_line)["ids"].size() == 3);
  CHECK(in.folder.n_files() == 3);
}

TEST_CASE("standard streams that are closed are errors, and no file takes their place") {
  const Inputs in;
  const std::string out = in.folder / "out.npy";
  const Arguments logits = {"logits", "-m", in.model, "--ids", in.ids, "-o", out};
  const ProcessResult no_output = windlass(logits, {.shell = "exec \"$@\" >&-"});
  CHECK(no_output.exit_status == 1);
  CHECK_THAT(no_output.err, Contains("cannot write standard output"));
  CHECK(read_bytes(out).starts_with("\x93NUMPY"));
  CHECK(read_bytes(out).size() == 4096 + 3 * 4096 * 4);
  const ProcessResult no_input =
      windlass({"logits", "-m", in.model, "--ids", "-", "-o", out}, {.shell = "exec \"$@\" <&-"});
  CHECK(no_input.exit_status == 1);
  CHECK_THAT(no_input.err, Contains("cannot read standard input"));
  CHECK(windlass(logits, {.shell = "exec \"$@\" 2>&-"}).exit_status == 0);
}

TEST_CASE("a text without end is refused with the limit, not read into memory") {
  const Inputs in;
  check_refused({"run", "-m", in.model, "--raw", "-n", "1", "-f", "/dev/zero", "-c", "16"},
                "/dev/zero", 1, "/dev/zero is longer than 64.0 KiB");
  check_refused({"run", "-m", in.model, "--raw", "-n", "1", "--ids", "/dev/zero"}, "/dev/zero", 1,
                "/dev/zero is longer than");
  check_refused({"perplexity", "-m", in.model, "-f", "/dev/zero", "--ram", "32MiB"}, "/dev/zero", 1,
                "longer than 2.0 MiB, the most that --ram 32.0 MiB has room for");
  check_refused({"plan", "-m", in.model, "--config", "/dev/zero"}, "/dev/zero", 1,
                "/dev/zero is longer than 1.0 MiB");
}

}  // namespace
}  // namespace windlass::test
