// The I/O engine over io_uring (Linux 5.6 and later): reads are queued to the kernel and complete
// while the caller computes. No kernel polling thread (SQPOLL): it would take one of the cores that
// the arithmetic needs.
#include <fmt/format.h>
#include <liburing.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <vector>

#include "src/base/check.h"
#include "src/base/error.h"
#include "src/base/units.h"
#include "tiers/io_engine.h"

namespace windlass {
namespace {

constexpr std::int64_t kMaxRegion = kGiB;  // the kernel's limit for one registered buffer

std::string errno_text(int error) { return std::generic_category().message(error); }

std::string refusal_text(int error) {
  switch (error) {
    case ENOSYS:
      return "this kernel has no io_uring";
    case EPERM:
      return "io_uring is forbidden here (sysctl kernel.io_uring_disabled or seccomp)";
    case ENOMEM:
      return "not enough locked memory for an io_uring (ulimit -l)";
    default:
      return "io_uring: " + errno_text(error);
  }
}

class UringEngine : public IoEngine {
 public:
  UringEngine(const io_uring& ring, int capacity) : ring_(ring), capacity_(capacity) {}
  ~UringEngine() override {
    ReadCompletion done;
    while (in_flight_ > 0) reap({&done, 1}, true);
    io_uring_queue_exit(&ring_);
  }

  const char* name() const override { return "io_uring"; }
  int capacity() const override { return capacity_; }
  void submit(const ReadRequest& request) override;
  void flush() override;
  int reap(std::span<ReadCompletion> out, bool wait) override;
  bool register_memory(std::span<std::byte> memory, std::string* why) override;

 private:
  int region_of(const ReadRequest& request) const;
  int register_regions();

  io_uring ring_;
  int capacity_;
  int in_flight_ = 0;  // submitted and not reaped, handed to the kernel or not
  std::vector<iovec> regions_;
};

// Index of the registered region that holds the whole destination, else -1.
int UringEngine::region_of(const ReadRequest& request) const {
  for (std::size_t i = 0; i < regions_.size(); ++i) {
    const auto* begin = static_cast<const std::byte*>(regions_[i].iov_base);
    const std::byte* end = begin + regions_[i].iov_len;
    if (request.destination >= begin && request.destination + request.size_bytes <= end) {
      return static_cast<int>(i);
    }
  }
  return -1;
}

void UringEngine::submit(const ReadRequest& request) {
  WINDLASS_CHECK(in_flight_ < capacity_, in_flight_, capacity_);
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);
  if (entry == nullptr) {  // not flushed since `capacity` submissions
    flush();
    entry = io_uring_get_sqe(&ring_);
  }
  WINDLASS_CHECK(entry != nullptr, in_flight_, capacity_);
  const auto size = static_cast<unsigned>(request.size_bytes);
  const auto offset = static_cast<std::uint64_t>(request.offset_bytes);
  const int region = region_of(request);
  if (region >= 0) {
    io_uring_prep_read_fixed(entry, request.fd, request.destination, size, offset, region);
  } else {
    io_uring_prep_read(entry, request.fd, request.destination, size, offset);
  }
  io_uring_sqe_set_data64(entry, request.user);
  ++in_flight_;
}

void UringEngine::flush() {
  while (io_uring_sq_ready(&ring_) > 0) {
    const int status = io_uring_submit(&ring_);
    if (status >= 0 || status == -EINTR) continue;
    // Short of memory, or its completion queue wants draining: reap() hands over the rest when
    // reads have ended.
    const bool others_in_kernel = in_flight_ > static_cast<int>(io_uring_sq_ready(&ring_));
    if ((status == -EAGAIN || status == -EBUSY) && others_in_kernel) return;
    fail(ErrorCode::kIo, "io_uring takes no more reads: {}", errno_text(-status));
  }
}

int UringEngine::reap(std::span<ReadCompletion> out, bool wait) {
  flush();
  io_uring_cqe* entry = nullptr;
  while (wait && io_uring_cq_ready(&ring_) == 0) {
    WINDLASS_CHECK(in_flight_ > 0, in_flight_);
    const int status = io_uring_wait_cqe(&ring_, &entry);
    if (status == 0 || status == -EINTR) continue;
    fail(ErrorCode::kIo, "waiting on io_uring failed: {}", errno_text(-status));
  }
  int n = 0;
  while (n < static_cast<int>(out.size()) && io_uring_peek_cqe(&ring_, &entry) == 0) {
    out[static_cast<std::size_t>(n++)] = {io_uring_cqe_get_data64(entry), entry->res};
    io_uring_cqe_seen(&ring_, entry);
    --in_flight_;
  }
  return n;
}

int UringEngine::register_regions() {
  if (regions_.empty()) return 0;
  return io_uring_register_buffers(&ring_, regions_.data(), static_cast<unsigned>(regions_.size()));
}

// The kernel takes one table of buffers (adding to it needs 5.13), so the table is replaced.
bool UringEngine::register_memory(std::span<std::byte> memory, std::string* why) {
  WINDLASS_CHECK(in_flight_ == 0, in_flight_);
  const std::size_t n_before = regions_.size();
  if (n_before > 0) io_uring_unregister_buffers(&ring_);
  for (std::size_t offset = 0; offset < memory.size(); offset += kMaxRegion) {
    regions_.push_back({memory.data() + offset,
                        std::min(memory.size() - offset, static_cast<std::size_t>(kMaxRegion))});
  }
  const int status = register_regions();
  if (status == 0) return true;
  const std::string size = format_size(static_cast<std::int64_t>(memory.size()));
  *why = status == -ENOMEM
             ? fmt::format("{} cannot be locked for I/O: over the memlock limit (ulimit -l)", size)
             : fmt::format("{} cannot be registered for I/O: {}", size, errno_text(-status));
  regions_.resize(n_before);
  if (register_regions() != 0) regions_.clear();
  return false;
}

// Whether the kernel has the read operations used above.
bool has_reads(io_uring* ring) {
  io_uring_probe* probe = io_uring_get_probe_ring(ring);
  if (probe == nullptr) return false;
  const bool found = io_uring_opcode_supported(probe, IORING_OP_READ) != 0 &&
                     io_uring_opcode_supported(probe, IORING_OP_READ_FIXED) != 0;
  io_uring_free_probe(probe);
  return found;
}

}  // namespace

std::unique_ptr<IoEngine> make_io_uring_engine(int capacity, std::string* why) {
  WINDLASS_CHECK(capacity >= 1 && capacity <= 1024, capacity);
  io_uring ring{};
  const int status = io_uring_queue_init(static_cast<unsigned>(capacity), &ring, 0);
  if (status < 0) {
    *why = refusal_text(-status);
    return nullptr;
  }
  if (!has_reads(&ring)) {
    io_uring_queue_exit(&ring);
    *why = "this kernel's io_uring has no plain reads (Linux 5.6 and later have)";
    return nullptr;
  }
  return std::make_unique<UringEngine>(ring, capacity);
}

}  // namespace windlass
