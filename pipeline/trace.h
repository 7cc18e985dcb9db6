// A timeline of what ran and what moved, for Perfetto and chrome://tracing (Trace Event Format,
// complete events).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace windlass {

// Lines of the timeline: ops (products that run together are one event, named by the first), waits
// for the disk, and one line per read in flight (kDisk + its place).
enum class TraceRow : std::uint8_t { kCompute, kWait, kDisk };
constexpr TraceRow disk_row(int place) {
  return static_cast<TraceRow>(static_cast<int>(TraceRow::kDisk) + place);
}

// Owner-thread. Keeps up to `capacity` events (24 B each), then counts the rest as dropped; no
// allocation while recording.
class Trace {
 public:
  explicit Trace(std::int64_t capacity) { events_.reserve(static_cast<std::size_t>(capacity)); }
  // name indexes the table given to write(); -1 names the row itself. REQUIRES begin_s to ascend
  // within a row.
  void add(TraceRow row, std::int32_t name, double begin_s, double end_s) {
    if (events_.size() == events_.capacity()) {
      ++dropped_;
      return;
    }
    events_.push_back({begin_s, static_cast<float>(end_s - begin_s), name, row});
  }
  std::int64_t size_bytes() const;
  // Errors as OutputFile.
  void write(const std::string& path, const std::vector<std::string>& names) const;

 private:
  struct Event {
    double begin_s;
    float duration_s;
    std::int32_t name;
    TraceRow row;
  };
  std::vector<Event> events_;
  std::int64_t dropped_ = 0;
};

}  // namespace windlass
