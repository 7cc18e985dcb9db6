#include "cpu_kernels/thread_probe.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <vector>

namespace windlass {
namespace {

// glibc maps up to twice 64 MiB for a thread's first allocation, to find an aligned half.
constexpr std::size_t kHeapBytes = std::size_t{128} << 20;

struct Guest {
  pthread_t handle = {};
  void* heap = MAP_FAILED;
  std::atomic<pid_t> id{0};
  const std::atomic<bool>* leave = nullptr;
};

void* stay(void* argument) {
  auto* guest = static_cast<Guest*>(argument);
  guest->id.store(gettid(), std::memory_order_release);
  guest->id.notify_one();
  guest->leave->wait(false, std::memory_order_acquire);
  return nullptr;
}

bool start(Guest* guest) {
  guest->heap = mmap(nullptr, kHeapBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (guest->heap == MAP_FAILED) return false;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kHelperStackBytes);
  const int status = pthread_create(&guest->handle, &attributes, &stay, guest);
  pthread_attr_destroy(&attributes);
  if (status == 0) return true;
  munmap(guest->heap, kHeapBytes);
  return false;
}

// A joined thread still counts against the limit on processes until the kernel has forgotten its
// id.
void end(Guest* guest) {
  guest->id.wait(0, std::memory_order_acquire);
  pthread_join(guest->handle, nullptr);
  munmap(guest->heap, kHeapBytes);
  while (tgkill(getpid(), guest->id.load(std::memory_order_relaxed), 0) == 0) sched_yield();
}

}  // namespace

int startable_threads(int wanted) {
  std::vector<Guest> guests(static_cast<std::size_t>(wanted));
  std::atomic<bool> leave{false};
  // They take no signals: Ctrl-C belongs to the threads that handle it.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int started = 0;
  for (Guest& guest : guests) {
    guest.leave = &leave;
    if (!start(&guest)) break;
    ++started;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  leave.store(true, std::memory_order_release);
  leave.notify_all();
  for (int i = 0; i < started; ++i) end(&guests[static_cast<std::size_t>(i)]);
  return started;
}

}  // namespace windlass
