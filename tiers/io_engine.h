// Asynchronous reads: plain requests in, completions out, drained in one place. Implementations:
// io_uring.cpp (liburing), io_threads.cpp (a few preading threads, where io_uring is forbidden),
// and fault-injecting fakes in tests/support.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace windlass {

struct ReadRequest {
  int fd = -1;
  std::int64_t offset_bytes = 0;
  std::int64_t size_bytes = 0;
  std::byte* destination = nullptr;  // stays valid until the completion
  std::uint64_t user = 0;            // comes back with the completion
};

struct ReadCompletion {
  std::uint64_t user = 0;
  std::int64_t result = 0;  // bytes read (may be short), or -errno
};

// Owner-thread.
class IoEngine {
 public:
  virtual ~IoEngine() = default;         // waits for reads in flight
  virtual const char* name() const = 0;  // "io_uring", "threads"
  virtual int capacity() const = 0;      // requests that may be in flight
  // Starts a read. REQUIRES fewer than capacity() in flight.
  virtual void submit(const ReadRequest& request) = 0;
  // Hands submitted reads to the kernel (submit may batch).
  virtual void flush() = 0;
  // Moves finished reads into `out`; waits for at least one if `wait` (REQUIRES one in flight).
  // Returns how many.
  virtual int reap(std::span<ReadCompletion> out, bool wait) = 0;
  // Registers memory that later reads will land in. False, with the reason in `why`, where the
  // system refuses (RLIMIT_MEMLOCK); reads work anyway, a little dearer.
  virtual bool register_memory(std::span<std::byte> memory, std::string* why) = 0;
};

// capacity in 1..1024. io_uring where the kernel allows it, else threads; `why` gets the reason for
// the latter.
std::unique_ptr<IoEngine> make_io_engine(int capacity, std::string* why);
// Null when the kernel refuses, with the reason.
std::unique_ptr<IoEngine> make_io_uring_engine(int capacity, std::string* why);
// Up to 16 threads, or as many as the system grants; Error(kIo) when it grants none.
std::unique_ptr<IoEngine> make_thread_engine(int capacity);

}  // namespace windlass
