// What is the same on every device: the contract's checks, and the bookkeeping of memory.
#include "src/device/device.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "src/base/check.h"
#include "src/base/units.h"
#include "src/device/memlock.h"

namespace windlass {
namespace {

constexpr std::int64_t kPage = 4 * kKiB;
constexpr std::int64_t kHugePage = 2 * kMiB;

bool holds(const std::vector<void*>& own, void* native) {
  return std::find(own.begin(), own.end(), native) != own.end();
}

bool is_inside(const std::vector<std::span<std::byte>>& ranges, const std::byte* begin,
               std::int64_t size_bytes) {
  return std::any_of(ranges.begin(), ranges.end(), [&](std::span<std::byte> range) {
    return begin >= range.data() && begin + size_bytes <= range.data() + range.size();
  });
}

void forget(std::vector<std::span<std::byte>>& ranges, const std::byte* begin) {
  std::erase_if(ranges, [&](std::span<std::byte> range) { return range.data() == begin; });
}

bool on_page(const void* pointer) { return reinterpret_cast<std::intptr_t>(pointer) % kPage == 0; }

std::span<std::byte> span_of(std::byte* begin, std::int64_t size_bytes) {
  return {begin, static_cast<std::size_t>(size_bytes)};
}

// Null where the system refuses.
std::byte* map_pages(std::int64_t size_bytes) {
  void* mapping = mmap(nullptr, static_cast<std::size_t>(size_bytes), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return nullptr;
  // Fewer pages to pin; a refusal costs speed only.
  if (size_bytes >= kHugePage) {
    madvise(mapping, static_cast<std::size_t>(size_bytes), MADV_HUGEPAGE);
  }
  return static_cast<std::byte*>(mapping);
}

}  // namespace

DeviceArena::DeviceArena(Device* device, std::byte* base, std::int64_t size_bytes)
    : base_(base, {device}), size_bytes_(size_bytes) {}

ArenaRange DeviceArena::carve(std::int64_t size_bytes) {
  const std::int64_t rounded = align_up(size_bytes, kAlignment);
  WINDLASS_CHECK(size_bytes >= 0 && carved_bytes_ + rounded <= size_bytes_, size_bytes,
                 carved_bytes_, size_bytes_);
  const ArenaRange range{carved_bytes_, rounded};
  carved_bytes_ += rounded;
  return range;
}

std::byte* DeviceArena::at(std::int64_t offset_bytes) const {
  WINDLASS_CHECK(offset_bytes >= 0 && offset_bytes <= carved_bytes_, offset_bytes, carved_bytes_);
  return base_.get() + offset_bytes;
}

void DeviceArena::GiveBack::operator()(std::byte* base) const noexcept { device->give_back(base); }

void PinnedMemory::Unpin::operator()(std::byte* begin) const noexcept {
  device->unpin(span_of(begin, size_bytes));
  if (ours) munmap(begin, static_cast<std::size_t>(size_bytes));
}

Device::Device(DeviceInfo info, std::int64_t most_pinned_bytes)
    : info_(std::move(info)), most_pinned_bytes_(most_pinned_bytes) {}

Device::~Device() {
  WINDLASS_CHECK(arenas_.empty() && pinned_.empty(), arenas_.size(), pinned_.size());
}

Stream Device::make_stream() {
  streams_.push_back(new_stream());
  return StreamMaker::make_stream(streams_.back());
}

Event Device::make_event() {
  events_.push_back(new_event());
  return Event(events_.back());
}

void Device::check_own(Stream stream) const {
  WINDLASS_CHECK(holds(streams_, stream.native()), stream.native());
}

void Device::check_own(Event event) const {
  WINDLASS_CHECK(holds(events_, event.native()), event.native());
}

void Device::record(Stream stream, Event event) {
  check_own(stream);
  check_own(event);
  record_event(stream.native(), event.native());
}

void Device::hold(Stream stream, Event event) {
  check_own(stream);
  check_own(event);
  hold_stream(stream.native(), event.native());
}

bool Device::done(Event event) {
  check_own(event);
  return event_done(event.native());
}

void Device::wait_for(Event event) {
  check_own(event);
  wait_for_event(event.native());
}

double Device::seconds_between(Event earlier, Event later) {
  WINDLASS_CHECK(done(earlier) && done(later));
  return event_distance_s(earlier.native(), later.native());
}

std::variant<DeviceArena, NoMemory> Device::reserve(std::int64_t size_bytes) {
  WINDLASS_CHECK(size_bytes > 0, size_bytes);
  const std::int64_t rounded = align_up(size_bytes, DeviceArena::kAlignment);
  if (std::byte* base = allocate(rounded)) {
    arenas_.push_back(span_of(base, rounded));
    return DeviceArena(this, base, rounded);
  }
  const DeviceMemory now = memory();
  return NoMemory{
      rounded, std::min(now.free_bytes, rounded - 1),
      fmt::format(
          "{} has no {} in one piece: {} of {} are free; lower --vram, or end what else uses "
          "its memory (nvidia-smi lists it)",
          info_.name, format_size(rounded), format_size(now.free_bytes),
          format_size(now.total_bytes))};
}

void Device::give_back(std::byte* base) noexcept {
  finish_all();
  forget(arenas_, base);
  deallocate(base);
}

bool Device::may_pin(std::int64_t size_bytes, NoMemory* refused) const {
  const std::int64_t left_bytes = most_pinned_bytes_ - pinned_bytes_;
  if (size_bytes <= left_bytes) return true;
  *refused = {
      size_bytes, left_bytes,
      fmt::format("no more than {} of memory may be pinned for {}, {} are: {} do not fit; ask "
                  "for less, or raise --ram",
                  format_size(most_pinned_bytes_), info_.name, format_size(pinned_bytes_),
                  format_size(size_bytes))};
  return false;
}

bool Device::lock(std::span<std::byte> memory, NoMemory* refused) {
  const auto size_bytes = static_cast<std::int64_t>(memory.size());
  std::string why;
  if (lock_pages(memory, &why)) {
    pinned_.push_back(memory);
    pinned_bytes_ += size_bytes;
    return true;
  }
  const MemlockLimit limit = read_memlock_limit();
  *refused = {size_bytes, std::min(limit.limited ? limit.size_bytes : 0, size_bytes - 1),
              pinning_refused(info_.name, size_bytes, why, limit)};
  return false;
}

std::variant<PinnedMemory, NoMemory> Device::allocate_pinned(std::int64_t size_bytes) {
  WINDLASS_CHECK(size_bytes > 0, size_bytes);
  const std::int64_t rounded = align_up(size_bytes, kPage);
  NoMemory refused;
  if (!may_pin(rounded, &refused)) return refused;
  std::byte* pages = map_pages(rounded);
  if (pages == nullptr) {
    return NoMemory{rounded, 0,
                    fmt::format("the system refuses {} of memory to pin: {}; lower --ram or raise "
                                "ulimit -v",
                                format_size(rounded), std::generic_category().message(errno))};
  }
  if (!lock(span_of(pages, rounded), &refused)) {
    munmap(pages, static_cast<std::size_t>(rounded));
    return refused;
  }
  return PinnedMemory(pages, {this, rounded, true});
}

std::variant<PinnedMemory, NoMemory> Device::pin(std::span<std::byte> memory) {
  const auto size_bytes = static_cast<std::int64_t>(memory.size());
  WINDLASS_CHECK(size_bytes > 0 && size_bytes % kPage == 0 && on_page(memory.data()), size_bytes,
                 static_cast<void*>(memory.data()));
  const bool pinned_already = std::any_of(pinned_.begin(), pinned_.end(), [&](auto range) {
    return memory.data() < range.data() + range.size() &&
           range.data() < memory.data() + memory.size();
  });
  WINDLASS_CHECK(!pinned_already, static_cast<void*>(memory.data()));
  NoMemory refused;
  if (!may_pin(size_bytes, &refused) || !lock(memory, &refused)) return refused;
  return PinnedMemory(memory.data(), {this, size_bytes, false});
}

void Device::unpin(std::span<std::byte> memory) noexcept {
  finish_all();
  unlock_pages(memory);
  forget(pinned_, memory.data());
  pinned_bytes_ -= static_cast<std::int64_t>(memory.size());
}

void Device::copy_to_device(Stream stream, std::byte* device, std::span<const std::byte> host) {
  copy(stream, {Direction::kToDevice, device, const_cast<std::byte*>(host.data()),
                static_cast<std::int64_t>(host.size())});
}

void Device::copy_to_host(Stream stream, std::span<std::byte> host, const std::byte* device) {
  copy(stream, {Direction::kToHost, const_cast<std::byte*>(device), host.data(),
                static_cast<std::int64_t>(host.size())});
}

void Device::copy(Stream stream, const Copy& copy) {
  check_own(stream);
  WINDLASS_CHECK(copy.size_bytes > 0, copy.size_bytes);
  WINDLASS_CHECK(is_inside(pinned_, copy.host, copy.size_bytes), static_cast<void*>(copy.host),
                 copy.size_bytes);
  WINDLASS_CHECK(is_inside(arenas_, copy.device, copy.size_bytes), static_cast<void*>(copy.device),
                 copy.size_bytes);
  start_copy(stream.native(), copy);
}

}  // namespace windlass
