#include "src/device/simulated_device.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "src/base/check.h"
#include "src/base/units.h"

namespace windlass {
namespace {

constexpr int kPoisonByte = std::to_integer<int>(SimulatedDevice::kPoison);

DeviceInfo info_of(const SimulatedDeviceOptions& options) {
  WINDLASS_CHECK(options.memory_bytes > 0, options.memory_bytes);
  WINDLASS_CHECK(options.to_device.bytes_per_s > 0 && options.to_host.bytes_per_s > 0,
                 options.to_device.bytes_per_s, options.to_host.bytes_per_s);
  WINDLASS_CHECK(options.copy_engines == 1 || options.copy_engines == 2, options.copy_engines);
  DeviceInfo info;
  info.name = "the simulated device";
  info.total_bytes = options.memory_bytes;
  info.copy_engines = options.copy_engines;
  return info;
}

// Bytes on their way. Lines of 64 bytes take turns: odd ones are read at the begin, even ones at
// the end; in short copies the lines are short, so that both kinds exist from 2 bytes up.
class TornCopy {
 public:
  TornCopy(std::byte* target, const std::byte* source, std::int64_t size_bytes)
      : target_(target), source_(source), size_bytes_(size_bytes) {}

  void begin() {
    early_.resize(static_cast<std::size_t>(size_bytes_));
    each_line(1, [&](std::size_t at, std::size_t n) {
      std::memcpy(early_.data() + at, source_ + at, n);
    });
    std::memset(target_, kPoisonByte, early_.size());
  }
  void end() {
    each_line(0, [&](std::size_t at, std::size_t n) {
      std::memcpy(early_.data() + at, source_ + at, n);
    });
    std::memcpy(target_, early_.data(), early_.size());
  }

 private:
  template <typename Body>
  void each_line(std::int64_t first, const Body& body) const {
    const std::int64_t line = std::clamp<std::int64_t>(size_bytes_ / 2, 1, 64);
    for (std::int64_t at = first * line; at < size_bytes_; at += 2 * line) {
      body(static_cast<std::size_t>(at),
           static_cast<std::size_t>(std::min(line, size_bytes_ - at)));
    }
  }

  std::byte* target_;
  const std::byte* source_;
  std::int64_t size_bytes_;
  std::vector<std::byte> early_;
};

double seconds_of(const SimulatedLink& link, std::int64_t size_bytes) {
  return link.latency_s + static_cast<double>(size_bytes) / link.bytes_per_s;
}

}  // namespace

// While it lives, device memory can be touched.
class SimulatedDevice::Touch {
 public:
  explicit Touch(const SimulatedDevice& device) : device_(device) {
    protect(PROT_READ | PROT_WRITE);
  }
  ~Touch() { protect(PROT_NONE); }
  Touch(const Touch&) = delete;
  Touch& operator=(const Touch&) = delete;

 private:
  void protect(int access) const {
    for (const auto& [base, size_bytes] : device_.arenas_) {
      WINDLASS_CHECK(mprotect(base, static_cast<std::size_t>(size_bytes), access) == 0);
    }
  }
  const SimulatedDevice& device_;
};

SimulatedDevice::SimulatedDevice(EventClock& clock, const SimulatedDeviceOptions& options)
    : Device(info_of(options), options.most_pinned_bytes),
      clock_(clock),
      options_(options),
      queues_(clock, options.copy_engines == 1) {}

SimulatedDevice::~SimulatedDevice() = default;

void SimulatedDevice::check_alive() const {
  if (lost_.empty()) return;
  fail(ErrorCode::kDevice, "{} is lost: {}; start the program again", info().name, lost_);
}

void SimulatedDevice::lose(const std::string& why) {
  lost_ = why;
  queues_.drop_all();
}

DeviceMemory SimulatedDevice::memory() {
  check_alive();
  std::int64_t free_bytes = options_.memory_bytes - taken_bytes_;
  for (const auto& [base, size_bytes] : arenas_) free_bytes -= size_bytes;
  return {std::max<std::int64_t>(free_bytes, 0), options_.memory_bytes};
}

std::byte* SimulatedDevice::allocate(std::int64_t size_bytes) {
  if (size_bytes > memory().free_bytes) return nullptr;
  void* mapping = mmap(nullptr, static_cast<std::size_t>(size_bytes), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) {
    fail(ErrorCode::kNoSpace, "the system refuses {} for {}; give it less memory",
         format_size(size_bytes), info().name);
  }
  if (options_.moves_bytes) {
    std::memset(mapping, kPoisonByte, static_cast<std::size_t>(size_bytes));
  }
  mprotect(mapping, static_cast<std::size_t>(size_bytes), PROT_NONE);
  auto* base = static_cast<std::byte*>(mapping);
  arenas_.emplace(base, size_bytes);
  return base;
}

void SimulatedDevice::deallocate(std::byte* base) noexcept {
  const auto arena = arenas_.find(base);
  munmap(base, static_cast<std::size_t>(arena->second));
  arenas_.erase(arena);
}

bool SimulatedDevice::lock_pages(std::span<std::byte> pages, std::string* why) {
  check_alive();
  const auto size_bytes = static_cast<std::int64_t>(pages.size());
  if (locked_bytes_ + size_bytes > options_.lockable_bytes) {
    *why = fmt::format("the simulated system lets {} be locked, {} are",
                       format_size(options_.lockable_bytes), format_size(locked_bytes_));
    return false;
  }
  locked_bytes_ += size_bytes;
  return true;
}

void SimulatedDevice::unlock_pages(std::span<std::byte> pages) noexcept {
  locked_bytes_ -= static_cast<std::int64_t>(pages.size());
}

void SimulatedDevice::finish_all() noexcept { queues_.wait_until_idle(); }

void* SimulatedDevice::new_stream() {
  check_alive();
  return queues_.add_stream();
}

void* SimulatedDevice::new_event() {
  check_alive();
  return events_.emplace_back(std::make_unique<EventState>()).get();
}

void SimulatedDevice::record_event(void* stream, void* event) {
  check_alive();
  *static_cast<EventState*>(event) = queues_.mark(static_cast<SimulatedQueues::Lane*>(stream));
}

void SimulatedDevice::hold_stream(void* stream, void* event) {
  check_alive();
  const EventState& state = *static_cast<EventState*>(event);
  if (state != nullptr) queues_.hold(static_cast<SimulatedQueues::Lane*>(stream), state);
}

bool SimulatedDevice::event_done(void* event) {
  clock_.run_due();
  check_alive();
  const EventState& state = *static_cast<EventState*>(event);
  return state == nullptr || state->done;
}

void SimulatedDevice::wait_for_event(void* event) {
  check_alive();
  const EventState& state = *static_cast<EventState*>(event);
  if (state != nullptr) queues_.wait_for(*state);
  check_alive();  // it may be lost meanwhile
}

double SimulatedDevice::event_distance_s(void* earlier, void* later) {
  const EventState &from = *static_cast<EventState*>(earlier),
                   &to = *static_cast<EventState*>(later);
  WINDLASS_CHECK(from != nullptr && to != nullptr);
  return to->at_s - from->at_s;
}

void SimulatedDevice::start_copy(void* stream, const Copy& copy) {
  check_alive();
  const bool to_device = copy.direction == Direction::kToDevice;
  SimulatedWork work;
  work.engine = to_device ? DeviceEngine::kToDevice : DeviceEngine::kToHost;
  work.seconds = seconds_of(to_device ? options_.to_device : options_.to_host, copy.size_bytes);
  work.ready = work.end = [] {};
  if (options_.moves_bytes) {
    auto bytes = std::make_shared<TornCopy>(to_device ? copy.device : copy.host,
                                            to_device ? copy.host : copy.device, copy.size_bytes);
    work.ready = [this, bytes] {
      const Touch touch(*this);
      bytes->begin();
    };
    work.end = [this, bytes] {
      const Touch touch(*this);
      bytes->end();
    };
  }
  queues_.push(static_cast<SimulatedQueues::Lane*>(stream), std::move(work));
}

void SimulatedDevice::run(Stream stream, double seconds, std::function<void()> function) {
  check_alive();
  check_own(stream);
  WINDLASS_CHECK(seconds >= 0, seconds);
  SimulatedWork work{DeviceEngine::kCompute, seconds, [] {}, [] {}};
  if (options_.moves_bytes) {
    const bool at_begin = options_.work_runs == SimulatedDeviceOptions::Moment::kBegin;
    (at_begin ? work.ready : work.end) = [this, body = std::move(function)] {
      const Touch touch(*this);
      body();
    };
  }
  queues_.push(static_cast<SimulatedQueues::Lane*>(stream.native()), std::move(work));
}

}  // namespace windlass
