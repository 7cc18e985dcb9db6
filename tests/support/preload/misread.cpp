// A placement bug to plant in a whole program (LD_PRELOAD): of the large aligned reads that it does
// by pread, every fifth brings the bytes that lie before those asked for. io_uring's reads pass by.
#include <dlfcn.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace {

using Pread = ssize_t (*)(int, void*, size_t, off_t);

constexpr size_t kLeastBytes = 64 << 10;
constexpr std::uintptr_t kAlignment = 4096;  // of what is streamed, and of little else

bool is_due(const void* buffer, size_t size_bytes, off_t offset) {
  static std::atomic<int> n_reads = 0;
  const bool streamed =
      size_bytes >= kLeastBytes && reinterpret_cast<std::uintptr_t>(buffer) % kAlignment == 0;
  return streamed && offset >= static_cast<off_t>(size_bytes) && ++n_reads % 5 == 0;
}

}  // namespace

extern "C" ssize_t pread(int descriptor, void* buffer, size_t size_bytes, off_t offset) {
  static const auto real = reinterpret_cast<Pread>(::dlsym(RTLD_NEXT, "pread"));
  if (is_due(buffer, size_bytes, offset)) offset -= static_cast<off_t>(size_bytes);
  return real(descriptor, buffer, size_bytes, offset);
}
