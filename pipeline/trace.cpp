#include "pipeline/trace.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "src/base/error.h"

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
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "w"),
                                                             &std::fclose);
  if (file == nullptr)
    fail(ErrorCode::kIo, "{}: cannot write the trace: {}", path, std::strerror(errno));
  double origin_s = events_.empty() ? 0 : events_.front().begin_s;
  for (const Event& event : events_) origin_s = std::min(origin_s, event.begin_s);
  fmt::print(file.get(),
             "{{\"displayTimeUnit\":\"ms\",\"otherData\":{{\"dropped\":{}}},\"traceEvents\":[",
             dropped_);
  int last_row = static_cast<int>(TraceRow::kDisk);
  for (const Event& event : events_) last_row = std::max(last_row, static_cast<int>(event.row));
  for (int row = 0; row <= last_row; ++row) {
    fmt::print(file.get(),
               "{}{{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":1,\"tid\":{},\"args\":{{\"name\":"
               "\"{}\"}}}}",
               row == 0 ? "\n" : ",\n", row, row_name(static_cast<TraceRow>(row)));
  }
  for (const Event& event : events_) {
    const char* name =
        event.name < 0 ? row_name(event.row) : names[static_cast<std::size_t>(event.name)].c_str();
    fmt::print(
        file.get(),
        ",\n{{\"ph\":\"X\",\"name\":\"{}\",\"pid\":1,\"tid\":{},\"ts\":{:.3f},\"dur\":{:.3f}}}",
        name, static_cast<int>(event.row), (event.begin_s - origin_s) * 1e6,
        static_cast<double>(event.duration_s) * 1e6);
  }
  fmt::print(file.get(), "\n]}}\n");
  if (std::fflush(file.get()) != 0)
    fail(ErrorCode::kIo, "{}: cannot write the trace: {}", path, std::strerror(errno));
}

}  // namespace windlass
