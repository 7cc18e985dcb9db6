#include "tests/src/watched_memory.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace {

thread_local bool watching = false;
thread_local windlass::testing::MemoryRequests requests;

// Null when the system has no memory left.
void* watched_allocate(std::size_t size_bytes) noexcept {
  if (watching) {
    requests.largest_bytes = std::max(requests.largest_bytes, size_bytes);
    requests.sum_bytes += size_bytes;
  }
  return std::malloc(size_bytes == 0 ? 1 : size_bytes);
}

void* allocate_or_throw(std::size_t size_bytes) {
  if (void* memory = watched_allocate(size_bytes)) return memory;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t size_bytes) { return allocate_or_throw(size_bytes); }
void* operator new[](std::size_t size_bytes) { return allocate_or_throw(size_bytes); }
void* operator new(std::size_t size_bytes, const std::nothrow_t&) noexcept {
  return watched_allocate(size_bytes);
}
void* operator new[](std::size_t size_bytes, const std::nothrow_t&) noexcept {
  return watched_allocate(size_bytes);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

namespace windlass::testing {

MemoryWatch::MemoryWatch() {
  requests = {};
  watching = true;
}

MemoryWatch::~MemoryWatch() { watching = false; }

MemoryRequests MemoryWatch::stop() {
  watching = false;
  return requests;
}

}  // namespace windlass::testing
