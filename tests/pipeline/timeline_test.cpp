// Timelines of predicted steps, as text and as a picture.
#include "pipeline/timeline.h"

#include "tests/support/catch.h"

namespace windlass {
namespace {

using Catch::Matchers::Contains;

const std::vector<WorkSpan> kSpans = {{Resource::kCpu, 0, 0.5, 0},
                                      {Resource::kCpu, 0.5, 1.0, -1, true},
                                      {Resource::kGpu, 0.5, 1.0, 1},
                                      {Resource::kHostToVram, 0.20, 0.23, -1}};

TEST_CASE("a line of text shows when a resource works, waits and rests") {
  const std::string text = timeline_text(kSpans, 1.0, 10);
  CHECK_THAT(text, Contains("cpu          |#####.....|  50 %"));
  CHECK_THAT(text, Contains("gpu          |     #####|  50 %"));
  CHECK_THAT(text, Contains("host_to_vram |  +       |   3 %"));
  CHECK_THAT(text, !Contains("disk_to_host"));
}

TEST_CASE("the picture has a bar for each op, named, and escapes names") {
  const std::string svg = timeline_svg(kSpans, 1.0, "a <model>", {"blk.0 & up", "head"});
  CHECK(svg.starts_with("<svg "));
  CHECK(svg.ends_with("</svg>\n"));
  CHECK_THAT(svg,
             Contains("a &lt;model>") && Contains("blk.0 &amp; up") && Contains("head, 500.0 ms"));
  CHECK_THAT(svg, Contains("class=\"w\"") && Contains("class=\"host_to_vram\""));
}

TEST_CASE("many short ops are few bars") {
  std::vector<WorkSpan> spans;
  for (int i = 0; i < 100000; ++i) spans.push_back({Resource::kCpu, i * 1e-5, (i + 1) * 1e-5, i});
  CHECK(timeline_svg(spans, 1.0, "many", {}).size() < 300'000);
}

}  // namespace
}  // namespace windlass
