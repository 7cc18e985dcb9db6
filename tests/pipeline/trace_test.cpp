// Timelines: files that a JSON parser reads, in which nothing on one line overlaps.
#include "pipeline/trace.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "pipeline/session_plan.h"
#include "src/base/error.h"
#include "src/base/units.h"
#include "tests/pipeline/golden_model.h"
#include "tests/pipeline/streamed_model.h"
#include "tests/support/catch.h"

namespace windlass {
namespace {

using namespace windlass::test;

nlohmann::json read_json(const std::string& path) {
  return nlohmann::json::parse(testing::read_file(path));
}

struct Event {
  std::string name;
  double begin_us, end_us;
};

// Complete events by line, in order of time.
std::map<int, std::vector<Event>> events_by_row(const nlohmann::json& trace) {
  std::map<int, std::vector<Event>> rows;
  for (const auto& event : trace["traceEvents"]) {
    if (event["ph"] != "X") continue;
    const double begin = event["ts"], duration = event["dur"];
    REQUIRE(begin >= 0);
    REQUIRE(duration >= 0);
    rows[event["tid"]].push_back({event["name"], begin, begin + duration});
  }
  for (auto& [row, events] : rows) {
    std::sort(events.begin(), events.end(),
              [](const Event& a, const Event& b) { return a.begin_us < b.begin_us; });
  }
  return rows;
}

std::map<int, std::string> names_of_rows(const nlohmann::json& trace) {
  std::map<int, std::string> names;
  for (const auto& event : trace["traceEvents"]) {
    if (event["ph"] == "M") names[event["tid"]] = event["args"]["name"];
  }
  return names;
}

// Times are written in 0.001 us, and durations held as floats.
bool overlap(const std::vector<Event>& events) {
  for (std::size_t i = 1; i < events.size(); ++i) {
    if (events[i].begin_us < events[i - 1].end_us - 0.01) return true;
  }
  return false;
}

TEST_CASE("a trace's events come out with their rows, names and times in microseconds") {
  const testing::TempDir folder;
  Trace trace(16);
  trace.add(TraceRow::kCompute, 1, 100.5, 100.75);
  trace.add(TraceRow::kWait, -1, 100.25, 100.5);
  trace.add(disk_row(2), -1, 100.0, 100.5);
  trace.write(folder.file("trace.json"), {"first op", "second op"});
  const nlohmann::json json = read_json(folder.file("trace.json"));
  CHECK(json["otherData"]["dropped"] == 0);
  const auto rows = events_by_row(json);
  REQUIRE(rows.size() == 3);
  const Event op = rows.at(0).front(), wait = rows.at(1).front(), read = rows.at(4).front();
  CHECK(op.name == "second op");
  CHECK(op.begin_us == 500000);  // after the earliest event
  CHECK(op.end_us == 750000);
  CHECK(wait.name == "waiting for disk");
  CHECK(wait.begin_us == 250000);
  CHECK(read.name == "disk_to_host");
  CHECK(read.begin_us == 0);
  const auto names = names_of_rows(json);
  CHECK(names.size() == 5);
  CHECK(names.at(0) == "cpu");
  CHECK(names.at(4) == "disk_to_host");
}

TEST_CASE("a full trace drops what comes later and says how much") {
  const testing::TempDir folder;
  const std::int64_t capacity = GENERATE(0, 3, 9);
  Trace trace(capacity);
  for (int i = 0; i < 10; ++i) trace.add(TraceRow::kCompute, 0, i, i + 0.5);
  trace.write(folder.file("trace.json"), {"op"});
  const nlohmann::json json = read_json(folder.file("trace.json"));
  CHECK(json["otherData"]["dropped"] == 10 - capacity);
  CHECK(std::ssize(events_by_row(json)[0]) == capacity);
}

TEST_CASE("an empty trace is valid, and one that cannot be written is an error with its path") {
  const testing::TempDir folder;
  const Trace trace(1);
  trace.write(folder.file("trace.json"), {});
  CHECK(events_by_row(read_json(folder.file("trace.json"))).empty());
  CHECK_THROWS_WITH(trace.write(folder.file("no/such/trace.json"), {}), Contains("no/such"));
}

// Every region of the run's plans on the cpu line, every load on a line of the disk's.
TEST_CASE("the trace of a run shows each region and each read, and no line overlaps itself") {
  const StreamedModel streamed;
  EngineOptions options = exact_options(128);
  options.micro_batch_tokens = 40;
  options.ram_bytes = least_ram(streamed.model, options) + kMiB;
  options.trace_path = streamed.folder.file("trace.json");
  Engine engine(streamed.model, options, test_profile());
  engine.feed_for_last(streamed.ids, {});  // 40, 40 and 20 rows
  const std::int32_t one = 5;
  engine.feed_for_last(std::span(&one, 1), {});
  engine.write_trace();

  const nlohmann::json json = read_json(options.trace_path);
  CHECK(json["otherData"]["dropped"] == 0);
  const SessionPlan plan =
      make_session_plan(streamed.model, options, test_profile(), *options.ram_bytes);
  std::set<std::string> labels;
  for (const GraphOp& op : plan.graph.ops) labels.insert(op.label);
  auto rows = events_by_row(json);
  // Entries beside others run with them, as far as their weights are here.
  const auto count = [&](const auto& counted) {
    const auto in = [&](const Plan& p) {
      return static_cast<std::size_t>(std::count_if(p.compute.begin(), p.compute.end(), counted));
    };
    return 2 * in(plan.without_head) + in(plan.with_head) + in(plan.decode);
  };
  CHECK(rows.at(0).size() >= count([](const ComputeEntry& e) { return !e.beside_previous; }));
  CHECK(rows.at(0).size() < count([](const ComputeEntry&) { return true; }));
  for (const Event& event : rows.at(0)) CHECK(labels.count(event.name) == 1);
  std::size_t n_reads = 0;
  for (const auto& [row, events] : rows) {
    INFO("row " << row);
    CHECK_FALSE(overlap(events));
    if (row >= static_cast<int>(TraceRow::kDisk)) n_reads += events.size();
  }
  CHECK(n_reads >= plan.placement().pinned.size() + 2 * plan.without_head.loads.size() +
                       plan.with_head.loads.size() + plan.decode.loads.size());
  // An op and a wait are one thread's, so that they do not overlap either.
  std::vector<Event> thread = rows[0];
  thread.insert(thread.end(), rows[1].begin(), rows[1].end());
  std::sort(thread.begin(), thread.end(),
            [](const Event& a, const Event& b) { return a.begin_us < b.begin_us; });
  CHECK_FALSE(overlap(thread));
}

}  // namespace
}  // namespace windlass
