// A device with memory of its own, as the pipeline drives it: streams, events, memory reserved
// once, pinned host memory, copies. Real (cuda_device.h) or simulated (simulated_device.h). What is
// computed on it is not here: kernels take a Stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "src/base/arena_range.h"
#include "src/base/error.h"
#include "src/device/pci_link.h"
#include "src/device/stream.h"

namespace windlass {

class Device;

struct DeviceInfo {
  std::string name;  // "NVIDIA H100 80GB HBM3"; a MIG slice says so in its name
  std::int64_t total_bytes = 0;
  int compute_major = 0;  // compute capability 8.9 is 8 and 9; 0 and 0 where there is none
  int compute_minor = 0;
  int multiprocessors = 0;
  int copy_engines = 0;  // 1: copies in the two directions take turns; more: they overlap
  PciLink pci;
};

// Another process may take or free memory at any time.
struct DeviceMemory {
  std::int64_t free_bytes = 0;
  std::int64_t total_bytes = 0;
};

// Memory that is not there: an outcome to act on (shrink, go on), not an error.
struct NoMemory {
  std::int64_t asked_bytes = 0;
  std::int64_t available_bytes = 0;  // what there seems to be; 0 where nothing is known
  std::string message;               // one line for a person: what, numbers, what to try
};

// For callers that cannot go on with less: Error(kNoSpace) with the message.
template <typename Memory>
Memory get_or_fail(std::variant<Memory, NoMemory> outcome) {
  if (const auto* refused = std::get_if<NoMemory>(&outcome)) {
    throw Error(ErrorCode::kNoSpace, refused->message);
  }
  return std::get<Memory>(std::move(outcome));
}

// A point in a stream. Plain data; the device that made it owns it. Recorded again, it means the
// newest point; waits that were put on streams before keep theirs.
class Event {
 public:
  void* native() const { return native_; }  // cudaEvent_t where the device has one
  bool operator==(const Event&) const = default;

 private:
  friend class Device;
  explicit Event(void* native) : native_(native) {}
  void* native_;
};

// Device memory, reserved at once, carved by offset; nothing is freed singly. Given back by the
// destructor, which first waits for all work of the device. Owner-thread.
class DeviceArena {
 public:
  // Every range begins at a multiple of it: what cudaMalloc promises, and vector loads want.
  static constexpr std::int64_t kAlignment = 256;

  // Carves the next range, rounded up to kAlignment. REQUIRES the arena to be large enough (planned
  // sizes are exact).
  ArenaRange carve(std::int64_t size_bytes);
  // An address of the device: the host must not touch it.
  std::byte* at(std::int64_t offset_bytes) const;
  std::byte* at(const ArenaRange& range) const { return at(range.offset_bytes); }
  std::int64_t size_bytes() const { return size_bytes_; }
  std::int64_t carved_bytes() const { return carved_bytes_; }

 private:
  friend class Device;
  struct GiveBack {
    Device* device;
    void operator()(std::byte* base) const noexcept;
  };
  DeviceArena(Device* device, std::byte* base, std::int64_t size_bytes);
  std::unique_ptr<std::byte, GiveBack> base_;
  std::int64_t size_bytes_;
  std::int64_t carved_bytes_ = 0;
};

// Host memory that stays in place and that the device copies from and to: the only kind that copies
// take. Disk reads may land in it. Unpinned by the destructor, which first waits for all work of
// the device. Owner-thread.
class PinnedMemory {
 public:
  std::byte* data() const { return bytes_.get(); }
  std::int64_t size_bytes() const { return bytes_.get_deleter().size_bytes; }
  std::span<std::byte> span() const { return {data(), static_cast<std::size_t>(size_bytes())}; }

 private:
  friend class Device;
  struct Unpin {
    Device* device;
    std::int64_t size_bytes;
    bool ours;  // mapped by us, or somebody else's memory
    void operator()(std::byte* begin) const noexcept;
  };
  PinnedMemory(std::byte* begin, Unpin unpin) : bytes_(begin, unpin) {}
  std::unique_ptr<std::byte, Unpin> bytes_;
};

// Owner-thread. Outlives its arenas and pinned memory. What is put on a stream starts at once, in
// order within the stream; streams run side by side. REQUIRES streams and events to be its own.
//
// Error(kDevice) from any call: the device failed or is lost to this process.
class Device : protected StreamMaker {
 public:
  virtual ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const DeviceInfo& info() const { return info_; }
  virtual DeviceMemory memory() = 0;

  // Both live as long as the device: made when a plan is loaded, not while it runs.
  Stream make_stream();
  Event make_event();

  // The event is the point that the stream reaches after all that was put on it before.
  void record(Stream stream, Event event);
  // What is put on the stream from now on starts after the point that the event now is; at once if
  // it was never recorded.
  void hold(Stream stream, Event event);
  // Without waiting. An event that was never recorded is done.
  bool done(Event event);
  // The thread sleeps until it is done.
  void wait_for(Event event);
  // Time on the device between two events. REQUIRES both recorded and done.
  double seconds_between(Event earlier, Event later);

  // Device memory with undefined content.
  std::variant<DeviceArena, NoMemory> reserve(std::int64_t size_bytes);
  // Zeroed memory on a page border, its size rounded up to pages (4 KiB).
  std::variant<PinnedMemory, NoMemory> allocate_pinned(std::int64_t size_bytes);
  // Pins memory that exists. REQUIRES whole pages, none of them pinned already, that outlive what
  // is returned.
  std::variant<PinnedMemory, NoMemory> pin(std::span<std::byte> memory);
  std::int64_t pinned_bytes() const { return pinned_bytes_; }

  // Both ends belong to the copy from now until it is done: neither is written, the target is not
  // read. REQUIRES host bytes within one PinnedMemory, device bytes within one DeviceArena, size >
  // 0.
  void copy_to_device(Stream stream, std::byte* device, std::span<const std::byte> host);
  void copy_to_host(Stream stream, std::span<std::byte> host, const std::byte* device);

 protected:
  // No more than most_pinned_bytes are pinned at once: pinned memory is taken from the whole
  // system.
  Device(DeviceInfo info, std::int64_t most_pinned_bytes);
  void check_own(Stream stream) const;

  enum class Direction : std::uint8_t { kToDevice, kToHost };
  struct Copy {
    Direction direction;
    std::byte* device;
    std::byte* host;  // kToDevice only reads it
    std::int64_t size_bytes;
  };

 private:
  // What a kind of device has to do; REQUIRES of the public calls are checked.
  virtual void* new_stream() = 0;
  virtual void* new_event() = 0;
  virtual void record_event(void* stream, void* event) = 0;
  virtual void hold_stream(void* stream, void* event) = 0;
  virtual bool event_done(void* event) = 0;
  virtual void wait_for_event(void* event) = 0;
  virtual double event_distance_s(void* earlier, void* later) = 0;
  virtual void start_copy(void* stream, const Copy& copy) = 0;
  virtual std::byte* allocate(std::int64_t size_bytes) = 0;  // null where it is refused
  virtual void deallocate(std::byte* base) noexcept = 0;
  // False, with the reason as a clause, where the system refuses.
  virtual bool lock_pages(std::span<std::byte> pages, std::string* why) = 0;
  virtual void unlock_pages(std::span<std::byte> pages) noexcept = 0;
  virtual void finish_all() noexcept = 0;

  using Ranges = std::vector<std::span<std::byte>>;
  friend struct DeviceArena::GiveBack;
  friend struct PinnedMemory::Unpin;
  void give_back(std::byte* base) noexcept;
  void unpin(std::span<std::byte> memory) noexcept;
  bool may_pin(std::int64_t size_bytes, NoMemory* refused) const;
  bool lock(std::span<std::byte> memory, NoMemory* refused);
  void check_own(Event event) const;
  void copy(Stream stream, const Copy& copy);

  DeviceInfo info_;
  std::int64_t most_pinned_bytes_;
  std::int64_t pinned_bytes_ = 0;
  std::vector<void*> streams_, events_;
  Ranges arenas_, pinned_;
};

}  // namespace windlass
