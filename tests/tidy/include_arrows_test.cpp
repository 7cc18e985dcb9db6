// The layering rule of ARCHITECTURE.md, checked on every #include of the repository, and the
// checker itself on bad input.
#include "tests/support/catch.h"
#include "tests/tidy/source_tree.h"

namespace windlass::tidy {
namespace {

std::string error_of(const std::string& file, const std::string& target) {
  return arrow_error({file, 7, target, true});
}

IncludeGraph graph_of(const std::vector<std::pair<std::string, std::string>>& edges) {
  IncludeGraph graph;
  for (const auto& [from, to] : edges) {
    graph[from].push_back({from, 1, to, true});
    graph[to];
  }
  return graph;
}

TEST_CASE("every include follows the arrows between folders") {
  const IncludeGraph graph = read_include_graph();
  REQUIRE(graph.size() > 50);
  std::string errors;
  for (const auto& [file, includes] : graph) {
    for (const Include& include : includes) {
      const std::string error = arrow_error(include);
      if (!error.empty()) errors += error + "\n";
    }
  }
  INFO(errors);
  CHECK(errors.empty());
}

TEST_CASE("no file includes itself, directly or through others") {
  const std::string cycle = find_cycle(read_include_graph());
  INFO(cycle);
  CHECK(cycle.empty());
}

TEST_CASE("an arrow that points up is named with file, line and arrow") {
  CHECK(error_of("tiers/transfer.cpp", "pipeline/engine.h") ==
        "tiers/transfer.cpp:7: arrow tiers -> pipeline is not allowed (includes "
        "\"pipeline/engine.h\"; "
        "ARCHITECTURE.md has the arrows)");
  CHECK_THAT(error_of("src/base/error.h", "src/format/gguf.h"),
             Contains("arrow src/base -> src/format"));
  CHECK_THAT(error_of("src/format/gguf.cpp", "src/model/model.h"),
             Contains("arrow src/format -> src/model"));
  CHECK_THAT(error_of("src/ops/op_args.h", "src/model/model.h"),
             Contains("arrow src/ops -> src/model"));
  CHECK_THAT(error_of("src/text/sampler.cpp", "src/ops/op_table.h"),
             Contains("arrow src/text -> src/ops"));
  CHECK_THAT(error_of("tools/run.cpp", "tiers/arena.h"), Contains("arrow tools -> tiers"));
  CHECK_THAT(error_of("tools/run.cpp", "cpu_kernels/op_table.h"),
             Contains("arrow tools -> cpu_kernels"));
  CHECK_THAT(error_of("cpu_kernels/team.cpp", "tiers/arena.h"),
             Contains("arrow cpu_kernels -> tiers"));
  CHECK_THAT(error_of("src/base/error.cpp", "tests/support/catch.h"),
             Contains("arrow src -> tests"));
}

TEST_CASE("allowed arrows pass") {
  CHECK(error_of("tools/run.cpp", "pipeline/engine.h").empty());
  CHECK(error_of("pipeline/engine.cpp", "tiers/arena.h").empty());
  CHECK(error_of("pipeline/engine.cpp", "cpu_kernels/op_table.h").empty());
  CHECK(error_of("src/model/layer_graph.h", "src/format/tensor_table.h").empty());
  CHECK(error_of("tests/tiers/arena_test.cpp", "tiers/arena.h").empty());
  CHECK(arrow_error({"src/base/error.h", 1, "string", false}).empty());
}

TEST_CASE("pipeline sees a backend through its op table alone") {
  CHECK_THAT(error_of("pipeline/executor.cpp", "tests/tidy/source_tree.h"),
             Contains("pipeline -> tests"));
  for (const std::string& header : files_below("cpu_kernels", {".h"})) {
    INFO(header);
    CHECK(error_of("pipeline/executor.cpp", header).empty() ==
          (header == "cpu_kernels/op_table.h"));
  }
}

TEST_CASE("includes are quoted, exist, and are written from the root") {
  CHECK_THAT(error_of("src/base/error.cpp", "error.h"),
             Contains("not written from the repository's root"));
  CHECK_THAT(error_of("src/base/error.cpp", "src/base/eror.h"), Contains("does not exist"));
  CHECK_THAT(arrow_error({"src/base/error.cpp", 1, "src/base/error.h", false}),
             Contains("quote it"));
}

TEST_CASE("include lines are found however they are spaced") {
  const auto includes = includes_of(
      "a.h",
      "// #include \"no.h\"\n#include \"b.h\"\n  #  include <c>\n#include<d.h>\n#define include\n");
  REQUIRE(includes.size() == 3);
  CHECK(includes[0].target == "b.h");
  CHECK(includes[0].line == 2);
  CHECK(includes[0].quoted);
  CHECK(includes[1].target == "c");
  CHECK_FALSE(includes[1].quoted);
  CHECK(includes[2].target == "d.h");
}

TEST_CASE("an include cycle is found and printed in order") {
  CHECK(find_cycle(graph_of({{"a", "b"}, {"a", "c"}, {"b", "d"}, {"c", "d"}})).empty());
  CHECK(find_cycle(graph_of({{"a", "b"}, {"b", "c"}, {"c", "b"}})) == "b -> c -> b");
  CHECK(find_cycle(graph_of({{"a", "a"}})) == "a -> a");
}

}  // namespace
}  // namespace windlass::tidy
