#include "tiers/arena.h"

#include <sys/mman.h>

#include <cerrno>
#include <system_error>

#include "src/base/check.h"
#include "src/base/error.h"
#include "src/base/units.h"
#include "tiers/block.h"

#ifndef MADV_POPULATE_WRITE  // Linux 5.14; older headers lack it
#define MADV_POPULATE_WRITE 23
#endif

namespace windlass {
namespace {

constexpr std::int64_t kHugePage = 2 * kMiB;
// Smaller arenas come with budgets so tight that pages which a run never touches (KV of a short
// answer) matter more than TLB misses.
constexpr std::int64_t kHugePageArena = 64 * kMiB;

void unmap(std::byte* begin, std::int64_t size_bytes) {
  if (size_bytes > 0) munmap(begin, static_cast<std::size_t>(size_bytes));
}

// Writes each page without changing it.
void touch_pages(std::byte* begin, std::int64_t size_bytes) {
  for (std::int64_t offset = 0; offset < size_bytes; offset += kDirectAlignment) {
    volatile std::byte* page = begin + offset;
    *page = *page;
  }
}

}  // namespace

Arena::Arena(std::int64_t size_bytes) : size_bytes_(align_up(size_bytes, kDirectAlignment)) {
  WINDLASS_CHECK(size_bytes > 0, size_bytes);
  // Mapped one huge page larger, so that the base can lie on a huge page border; the rest is
  // unmapped again.
  const std::int64_t mapped_bytes = size_bytes_ + kHugePage - kDirectAlignment;
  void* mapping = mmap(nullptr, static_cast<std::size_t>(mapped_bytes), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) {
    fail(ErrorCode::kNoSpace, "the system refuses {} of memory: {}; lower --ram or raise ulimit -v",
         format_size(size_bytes_), std::generic_category().message(errno));
  }
  const auto address = reinterpret_cast<std::intptr_t>(mapping);
  const std::int64_t before_bytes = align_up(address, kHugePage) - address;
  base_ = static_cast<std::byte*>(mapping) + before_bytes;
  unmap(static_cast<std::byte*>(mapping), before_bytes);
  unmap(base_ + size_bytes_, mapped_bytes - before_bytes - size_bytes_);
  // Where the system uses huge pages unasked, the first touch could make memory resident that is
  // not carved yet.
  madvise(base_, static_cast<std::size_t>(size_bytes_), MADV_NOHUGEPAGE);
}

Arena::~Arena() { unmap(base_, size_bytes_); }

ArenaRange Arena::carve(Budget& budget, Tag tag, std::int64_t size_bytes) {
  const std::int64_t rounded = align_up(size_bytes, kDirectAlignment);
  Reservation reservation = budget.reserve(tag, rounded);
  WINDLASS_CHECK(carved_bytes_ + rounded <= size_bytes_, carved_bytes_, rounded, size_bytes_);
  reservations_.push_back(std::move(reservation));
  const ArenaRange range{carved_bytes_, rounded};
  carved_bytes_ += rounded;
  advise_huge_pages();
  return range;
}

std::int64_t Arena::page_bytes() const {
  return size_bytes_ < kHugePageArena ? kDirectAlignment : kHugePage;
}

void Arena::advise_huge_pages() {
  if (page_bytes() != kHugePage) return;
  // Only huge pages that are carved to the last byte: resident memory never exceeds what the budget
  // was charged.
  const std::int64_t end = align_down(carved_bytes_, kHugePage);
  if (end <= huge_end_bytes_) return;
  // A refusal (no THP in this kernel) costs speed only.
  madvise(base_ + huge_end_bytes_, static_cast<std::size_t>(end - huge_end_bytes_), MADV_HUGEPAGE);
  huge_end_bytes_ = end;
}

std::byte* Arena::at(std::int64_t offset_bytes) const {
  WINDLASS_CHECK(offset_bytes >= 0 && offset_bytes <= carved_bytes_, offset_bytes, carved_bytes_);
  return base_ + offset_bytes;
}

void Arena::populate(const ArenaRange& range) {
  WINDLASS_CHECK(range.offset_bytes + range.size_bytes <= carved_bytes_, range.offset_bytes,
                 range.size_bytes, carved_bytes_);
  const auto size = static_cast<std::size_t>(range.size_bytes);
  int status = 0;
  do {
    status = madvise(at(range), size, MADV_POPULATE_WRITE);
  } while (status != 0 && (errno == EINTR || errno == EAGAIN));
  if (status == 0) return;
  if (errno == ENOMEM) {
    fail(ErrorCode::kNoSpace, "the system has no {} of memory left; lower --ram",
         format_size(range.size_bytes));
  }
  touch_pages(at(range), range.size_bytes);  // EINVAL: Linux before 5.14
}

}  // namespace windlass
