// The hot path of the tiers allocates nothing: counted by replacing operator new in this
// executable.
#include <array>
#include <atomic>
#include <cstdlib>
#include <new>

#include "tests/support/catch.h"
#include "tests/tiers/model_fixture.h"
#include "tiers/tier_manager.h"

namespace {
std::atomic<std::int64_t> n_allocations{0};
}  // namespace

void* operator new(std::size_t size) {
  ++n_allocations;
  if (void* memory = std::malloc(size != 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++n_allocations;
  return std::malloc(size != 0 ? size : 1);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

using namespace windlass;

namespace {

void load_use_and_drop(TierManager& tiers, const Run& run, std::byte* destination) {
  tiers.start_load(run, destination, 1);
  tiers.poll();
  tiers.wait_present(run.blocks.first);
  { const Lease lease = tiers.lease(run.blocks.first); }
  tiers.drop(run);
}

}  // namespace

TEST_CASE("starting, polling, waiting, leasing, dropping and fetching rows allocate nothing") {
  TensorTable tensors;
  add_tensor(tensors, FileId{0}, DType::kF16, {512, 777});
  const BlockTable blocks(tensors, 32 * kKiB);
  const TempFile file(tensors.tensors[0].extent.end_bytes());
  const DiskStore store({file.as_model_file()});
  std::string why;
  for (const bool threads : {false, true}) {
    const std::unique_ptr<IoEngine> engine =
        threads ? make_thread_engine(8) : make_io_engine(8, &why);
    TierManager tiers(tensors, blocks, store, *engine, {.max_runs = 4, .request_bytes = 16 * kKiB});
    const Run run = make_run(blocks, blocks.of_tensor(TensorId{0}));
    const AlignedMemory memory(run.aligned.size_bytes);
    std::array<std::int32_t, 100> rows;
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::int32_t>(i * 41 % 512);
    const AlignedMemory staging(std::ssize(rows) * tiers.row_staging_bytes(TensorId{0}));
    std::array<const std::byte*, rows.size()> row_bytes;

    const std::int64_t before = n_allocations;
    for (int i = 0; i < 3; ++i) {
      load_use_and_drop(tiers, run, memory.data());
      tiers.fetch_rows(TensorId{0}, rows, staging.span(), row_bytes);
    }
    CHECK(n_allocations == before);
  }
}
