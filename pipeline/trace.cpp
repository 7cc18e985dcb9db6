#include "pipeline/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <span>

#include "src/base/output_file.h"

namespace windlass {
namespace {

const char* row_name(TraceRow row) {
  if (row == TraceRow::kCompute) return "cpu";
  return row == TraceRow::kWait ? "waiting for disk" : "disk_to_host";
}

}  // namespace

std::int64_t Trace::size_bytes() const {
  return static_cast<std::int64_t>(events_.capacity() * sizeof(Event));
}

void Trace::write(const std::string& path, const std::vector<std::string>& names) const {
  OutputFile file(path);
  std::string text;  // of one event at a time
  const auto flush = [&] {
    file.write(std::as_bytes(std::span(text)));
    text.clear();
  };
  const auto out = std::back_inserter(text);
  double origin_s = events_.empty() ? 0 : events_.front().begin_s;
  for (const Event& event : events_) origin_s = std::min(origin_s, event.begin_s);
  fmt::format_to(out,
                 "{{\"displayTimeUnit\":\"ms\",\"otherData\":{{\"dropped\":{}}},\"traceEvents\":[",
                 dropped_);
  int last_row = static_cast<int>(TraceRow::kDisk);
  for (const Event& event : events_) last_row = std::max(last_row, static_cast<int>(event.row));
  for (int row = 0; row <= last_row; ++row) {
    fmt::format_to(out,
                   "{}{{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":1,\"tid\":{},\"args\":{{"
                   "\"name\":\"{}\"}}}}",
                   row == 0 ? "\n" : ",\n", row, row_name(static_cast<TraceRow>(row)));
  }
  flush();
  for (const Event& event : events_) {
    const char* name =
        event.name < 0 ? row_name(event.row) : names[static_cast<std::size_t>(event.name)].c_str();
    fmt::format_to(
        out,
        ",\n{{\"ph\":\"X\",\"name\":\"{}\",\"pid\":1,\"tid\":{},\"ts\":{:.3f},\"dur\":{:.3f}}}",
        name, static_cast<int>(event.row), (event.begin_s - origin_s) * 1e6,
        static_cast<double>(event.duration_s) * 1e6);
    flush();
  }
  text = "\n]}\n";
  flush();
  file.finish();
}

}  // namespace windlass
