#include "tests/support/fault_io_engine.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "src/base/check.h"
#include "src/base/units.h"

namespace windlass {

void FaultIoEngine::submit(const ReadRequest& request) {
  WINDLASS_CHECK(in_flight() < plan.capacity, in_flight(), plan.capacity);
  const int latency = std::uniform_int_distribution<int>(0, plan.max_latency)(random_);
  pending_.push_back({request, latency, static_cast<int>(submitted.size())});
  submitted.push_back(request);
  max_in_flight = std::max(max_in_flight, in_flight());
}

// Which pending read completes now; pending_.size(): none.
std::size_t FaultIoEngine::next_pending(bool wait) {
  if (plan.hold && !wait) return pending_.size();
  std::vector<std::size_t> due;
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    if (pending_[i].latency <= 0 || wait) due.push_back(i);
    if (!plan.reorder && !due.empty()) break;
    if (!plan.reorder && !wait) break;  // the first is late: those behind it wait
  }
  if (due.empty()) return pending_.size();
  return due[std::uniform_int_distribution<std::size_t>(0, due.size() - 1)(random_)];
}

std::int64_t FaultIoEngine::perform(const Pending& pending) {
  if (pending.index == plan.fail_read) return -plan.fail_errno;
  if (chance(plan.again_rate)) return chance(0.5) ? -EINTR : -EAGAIN;
  const ReadRequest& request = pending.request;
  std::int64_t size = request.size_bytes;
  if (chance(plan.short_read_rate) && size > 4096) {
    size = align_up(std::uniform_int_distribution<std::int64_t>(1, size - 1)(random_), 4096);
  }
  if (pending.index == plan.stale_read) return size;
  std::int64_t offset = request.offset_bytes;
  if (pending.index == plan.wrong_read) offset += offset >= size ? -size : size;
  const ssize_t result =
      pread(request.fd, request.destination, static_cast<std::size_t>(size), offset);
  return result < 0 ? -errno : result;
}

int FaultIoEngine::reap(std::span<ReadCompletion> out, bool wait) {
  WINDLASS_CHECK(!wait || in_flight() > 0);
  for (Pending& pending : pending_) --pending.latency;
  int n = 0;
  while (n < static_cast<int>(out.size())) {
    const std::size_t i = next_pending(wait && n == 0);
    if (i == pending_.size()) break;
    out[static_cast<std::size_t>(n++)] = {pending_[i].request.user, perform(pending_[i])};
    pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return n;
}

bool FaultIoEngine::register_memory(std::span<std::byte>, std::string* why) {
  *why = "a fake";
  return false;
}

}  // namespace windlass
