#include "pipeline/trace.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "src/base/error.h"

namespace windlass {
namespace {

const char* row_name(TraceRow row) {
  switch (row) {
    case TraceRow::kCompute: return "cpu";
    case TraceRow::kDisk: return "disk_to_host";
    case TraceRow::kWait: return "waiting for disk";
  }
  return "";
}

}  // namespace

std::int64_t Trace::size_bytes() const { return static_cast<std::int64_t>(events_.capacity() * sizeof(Event)); }

void Trace::write(const std::string& path, const std::vector<std::string>& names) const {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "w"), &std::fclose);
  if (file == nullptr) fail(ErrorCode::kIo, "{}: cannot write the trace: {}", path, std::strerror(errno));
  const double origin_s = events_.empty() ? 0 : events_.front().begin_s;
  fmt::print(file.get(), "{{\"displayTimeUnit\":\"ms\",\"otherData\":{{\"dropped\":{}}},\"traceEvents\":[", dropped_);
  for (const TraceRow row : {TraceRow::kCompute, TraceRow::kDisk, TraceRow::kWait}) {
    fmt::print(file.get(),
               "{}{{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":1,\"tid\":{},\"args\":{{\"name\":\"{}\"}}}}",
               row == TraceRow::kCompute ? "\n" : ",\n", static_cast<int>(row), row_name(row));
  }
  for (const Event& event : events_) {
    const char* name = event.name < 0 ? row_name(event.row) : names[static_cast<std::size_t>(event.name)].c_str();
    fmt::print(file.get(), ",\n{{\"ph\":\"X\",\"name\":\"{}\",\"pid\":1,\"tid\":{},\"ts\":{:.3f},\"dur\":{:.3f}}}", name,
               static_cast<int>(event.row), (event.begin_s - origin_s) * 1e6,
               static_cast<double>(event.duration_s) * 1e6);
  }
  fmt::print(file.get(), "\n]}}\n");
  if (std::fflush(file.get()) != 0) fail(ErrorCode::kIo, "{}: cannot write the trace: {}", path, std::strerror(errno));
}

}  // namespace windlass
