// The I/O engine of a few preading threads, for systems where io_uring is forbidden or missing.
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "src/base/check.h"
#include "src/base/error.h"
#include "tiers/io_engine.h"

namespace windlass {
namespace {

// Reads in progress at once: enough to fill an NVMe queue with 1 MiB reads; idle threads cost a few
// KiB of stack each.
constexpr int kMaxThreads = 16;

// A first-in first-out queue that never allocates after construction.
template <typename T>
class FixedQueue {
 public:
  explicit FixedQueue(int capacity) : items_(static_cast<std::size_t>(capacity)) {}
  bool empty() const { return count_ == 0; }
  void push(const T& item) {
    WINDLASS_CHECK(count_ < items_.size(), count_, items_.size());
    items_[(first_ + count_++) % items_.size()] = item;
  }
  T pop() {
    const T item = items_[first_];
    first_ = (first_ + 1) % items_.size();
    --count_;
    return item;
  }

 private:
  std::vector<T> items_;
  std::size_t first_ = 0, count_ = 0;
};

std::int64_t read_once(const ReadRequest& request) {
  ssize_t result = 0;
  do {
    result = pread(request.fd, request.destination, static_cast<std::size_t>(request.size_bytes),
                   request.offset_bytes);
  } while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : result;
}

class ThreadEngine : public IoEngine {
 public:
  explicit ThreadEngine(int capacity);
  ~ThreadEngine() override;
  const char* name() const override { return "threads"; }
  int capacity() const override { return capacity_; }
  void submit(const ReadRequest& request) override;
  void flush() override {}
  int reap(std::span<ReadCompletion> out, bool wait) override;
  // Nothing to register: preads go through the caller's page tables.
  bool register_memory(std::span<std::byte>, std::string* why) override {
    *why = "reads by threads need no registered memory";
    return false;
  }

 private:
  void work();
  void start_threads();

  const int capacity_;
  int in_flight_ = 0;  // owner's thread only
  std::mutex mutex_;
  std::condition_variable has_request_, has_completion_;
  FixedQueue<ReadRequest> requests_;
  FixedQueue<ReadCompletion> completions_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

ThreadEngine::ThreadEngine(int capacity)
    : capacity_(capacity), requests_(capacity), completions_(capacity) {
  // The readers inherit a full mask: signals such as Ctrl-C belong to the threads that handle them.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  start_threads();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (threads_.empty()) {
    fail(ErrorCode::kIo,
         "the system starts no thread to read with: raise its limits on processes (ulimit -u) and "
         "address space (ulimit -v), or allow io_uring");
  }
}

// As many as the system grants: with fewer, reads wait in the queue.
void ThreadEngine::start_threads() {
  const int n_threads = std::min(capacity_, kMaxThreads);
  threads_.reserve(static_cast<std::size_t>(n_threads));
  try {
    for (int i = 0; i < n_threads; ++i) threads_.emplace_back([this] { work(); });
  } catch (const std::exception&) {  // system_error or bad_alloc: those started stay
  }
}

// Queued reads are still done: their completions are what the contract promises to wait for.
ThreadEngine::~ThreadEngine() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  has_request_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadEngine::submit(const ReadRequest& request) {
  WINDLASS_CHECK(in_flight_ < capacity_, in_flight_, capacity_);
  ++in_flight_;
  {
    const std::lock_guard lock(mutex_);
    requests_.push(request);
  }
  has_request_.notify_one();
}

int ThreadEngine::reap(std::span<ReadCompletion> out, bool wait) {
  WINDLASS_CHECK(!wait || in_flight_ > 0, in_flight_);
  std::unique_lock lock(mutex_);
  if (wait) has_completion_.wait(lock, [this] { return !completions_.empty(); });
  int n = 0;
  while (n < static_cast<int>(out.size()) && !completions_.empty()) {
    out[static_cast<std::size_t>(n++)] = completions_.pop();
  }
  in_flight_ -= n;
  return n;
}

void ThreadEngine::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    has_request_.wait(lock, [this] { return stopping_ || !requests_.empty(); });
    if (requests_.empty()) return;
    const ReadRequest request = requests_.pop();
    lock.unlock();
    const ReadCompletion completion{request.user, read_once(request)};
    lock.lock();
    completions_.push(completion);
    has_completion_.notify_one();
  }
}

}  // namespace

std::unique_ptr<IoEngine> make_thread_engine(int capacity) {
  WINDLASS_CHECK(capacity >= 1 && capacity <= 1024, capacity);
  return std::make_unique<ThreadEngine>(capacity);
}

std::unique_ptr<IoEngine> make_io_engine(int capacity, std::string* why) {
  std::unique_ptr<IoEngine> engine = make_io_uring_engine(capacity, why);
  return engine ? std::move(engine) : make_thread_engine(capacity);
}

}  // namespace windlass
