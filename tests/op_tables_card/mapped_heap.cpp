#include "tests/op_tables_card/mapped_heap.h"

#include <sys/mman.h>

#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>

namespace windlass::test {
namespace {

constexpr std::size_t kHeapBytes = std::size_t{1} << 30;
constexpr std::size_t kLeastBytes = 64;  // of a cell: what alignas asks for at most

// Cells of powers of two; free ones are lists.
class Heap {
 public:
  Heap() {
    void* mapping = mmap(nullptr, kHeapBytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) std::abort();
    base_ = static_cast<std::byte*>(mapping);
  }
  std::span<std::byte> region() const { return {base_, kHeapBytes}; }

  void* take(std::size_t size_bytes) {
    const std::size_t cell = std::bit_ceil(size_bytes + kLeastBytes);
    const std::lock_guard lock(mutex_);
    Cell*& free = free_[static_cast<std::size_t>(std::bit_width(cell))];
    if (free == nullptr) free = carve(cell);
    Cell* taken = free;
    free = taken->next;
    taken->size_bytes = cell;
    return reinterpret_cast<std::byte*>(taken) + kLeastBytes;
  }
  void give_back(void* pointer) {
    if (pointer == nullptr) return;
    auto* cell = reinterpret_cast<Cell*>(static_cast<std::byte*>(pointer) - kLeastBytes);
    const std::lock_guard lock(mutex_);
    Cell*& free = free_[static_cast<std::size_t>(std::bit_width(cell->size_bytes))];
    cell->next = free;
    free = cell;
  }

 private:
  // Before the bytes that are handed out.
  struct Cell {
    std::size_t size_bytes;
    Cell* next;
  };
  Cell* carve(std::size_t cell) {
    if (used_ + cell > kHeapBytes) throw std::bad_alloc();
    auto* made = reinterpret_cast<Cell*>(base_ + used_);
    used_ += cell;
    made->next = nullptr;
    return made;
  }

  std::byte* base_;
  std::size_t used_ = 0;
  std::array<Cell*, 64> free_{};
  std::mutex mutex_;
};

Heap& heap() {
  // Never destroyed: objects that outlive main give back to it.
  alignas(Heap) static std::byte memory[sizeof(Heap)];
  static Heap* one = new (memory) Heap;
  return *one;
}

}  // namespace

std::span<std::byte> mapped_heap() { return heap().region(); }

}  // namespace windlass::test

void* operator new(std::size_t size_bytes) { return windlass::test::heap().take(size_bytes); }
void* operator new(std::size_t size_bytes, std::align_val_t alignment) {
  if (static_cast<std::size_t>(alignment) > windlass::test::kLeastBytes) throw std::bad_alloc();
  return windlass::test::heap().take(size_bytes);
}
void operator delete(void* pointer) noexcept { windlass::test::heap().give_back(pointer); }
void operator delete(void* pointer, std::size_t) noexcept {
  windlass::test::heap().give_back(pointer);
}
void operator delete(void* pointer, std::align_val_t) noexcept {
  windlass::test::heap().give_back(pointer);
}
void operator delete(void* pointer, std::size_t, std::align_val_t) noexcept {
  windlass::test::heap().give_back(pointer);
}
