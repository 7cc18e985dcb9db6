// The contract of IoEngine, run on every engine.
#include "tiers/io_engine.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <random>
#include <thread>

#include "src/base/error.h"
#include "src/base/units.h"
#include "tests/support/catch.h"
#include "tests/support/child_process.h"
#include "tests/support/fault_io_engine.h"
#include "tests/support/process_limits.h"
#include "tests/support/seed.h"
#include "tests/tiers/model_fixture.h"
#include "tiers/disk_store.h"

using namespace windlass;

namespace {

using Maker = std::unique_ptr<IoEngine> (*)(int capacity, std::string* why);

std::unique_ptr<IoEngine> make_threads(int capacity, std::string*) {
  return make_thread_engine(capacity);
}
std::unique_ptr<IoEngine> make_fake(int capacity, std::string*) {
  return std::make_unique<FaultIoEngine>(
      FaultPlan{.seed = test_seed(), .capacity = capacity, .max_latency = 3, .reorder = true});
}
std::unique_ptr<IoEngine> make_preferred(int capacity, std::string* why) {
  return make_io_engine(capacity, why);
}

// io_uring through the maker that falls back, so that the suite runs where io_uring is forbidden
// too.
constexpr Maker kMakers[] = {make_preferred, make_threads, make_fake};

struct Slot {
  std::int64_t offset = 0, size = 0;
  bool busy = false;
};

// Keeps the engine full of random aligned reads and compares each with the file.
void check_random_reads(IoEngine& engine, const DiskFile& file, const TempFile& truth,
                        const AlignedMemory& memory, int n_reads) {
  constexpr std::int64_t kSlotBytes = 64 * kKiB;
  std::mt19937_64 random(test_seed());
  std::vector<Slot> slots(static_cast<std::size_t>(engine.capacity()));
  REQUIRE(std::ssize(slots) * kSlotBytes <= memory.size_bytes);
  int submitted = 0, completed = 0;
  while (completed < n_reads) {
    for (std::size_t i = 0; i < slots.size() && submitted < n_reads; ++i) {
      if (slots[i].busy) continue;
      slots[i] = {align_down(static_cast<std::int64_t>(random() % truth.bytes().size()), 4096),
                  static_cast<std::int64_t>(random() % 16 + 1) * 4096, true};
      engine.submit({file.fd, slots[i].offset, slots[i].size,
                     memory.data() + static_cast<std::int64_t>(i) * kSlotBytes, i});
      ++submitted;
    }
    engine.flush();
    ReadCompletion done[5];
    const int n = engine.reap(done, completed % 2 == 0);
    REQUIRE((n > 0 || completed % 2 == 1));
    for (int i = 0; i < n; ++i, ++completed) {
      Slot& slot = slots.at(done[i].user);
      REQUIRE(slot.busy);
      slot.busy = false;
      REQUIRE(done[i].result == std::min(slot.size, file.size_bytes - slot.offset));
      REQUIRE(std::memcmp(memory.data() + static_cast<std::int64_t>(done[i].user) * kSlotBytes,
                          truth.bytes().data() + slot.offset,
                          static_cast<std::size_t>(done[i].result)) == 0);
    }
    if (n == 0) std::this_thread::yield();
  }
}

}  // namespace

TEST_CASE("random reads give the file's bytes, on every engine, direct and buffered") {
  const TempFile truth(3 * kMiB + 1234);
  const DiskStore direct({truth.as_model_file()});
  const DiskStore buffered({truth.as_model_file()}, [](int) { return std::string("test"); });
  for (const Maker maker : kMakers) {
    for (const int capacity : {1, 3, 32}) {
      for (const bool registered : {false, true}) {
        const AlignedMemory memory(capacity * 64 * kKiB);
        std::string why;
        const std::unique_ptr<IoEngine> engine = maker(capacity, &why);
        CAPTURE(engine->name(), capacity, registered);
        REQUIRE(engine->capacity() == capacity);
        // Half of it, so that reads land inside, outside and across the registered region.
        if (registered)
          engine->register_memory(memory.span().first(memory.span().size() / 2), &why);
        check_random_reads(*engine, direct.file(FileId{0}), truth, memory, 150);
        check_random_reads(*engine, buffered.file(FileId{0}), truth, memory, 150);
      }
    }
  }
}

TEST_CASE("reads past the end give nothing and failed reads give -errno, on every engine") {
  const TempFile file(10'000);
  const DiskStore store({file.as_model_file()});
  const AlignedMemory memory(8192);
  for (const Maker maker : kMakers) {
    std::string why;
    const std::unique_ptr<IoEngine> engine = maker(4, &why);
    CAPTURE(engine->name());
    const int fd = store.file(FileId{0}).fd;
    engine->submit({fd, 12288, 4096, memory.data(), 11});
    engine->submit({-1, 0, 4096, memory.data() + 4096, 22});
    engine->flush();
    for (int n = 0; n < 2;) {
      ReadCompletion done;
      if (engine->reap({&done, 1}, true) == 0) continue;
      ++n;
      CHECK(done.result == (done.user == 11 ? 0 : -EBADF));
    }
  }
}

TEST_CASE("an engine that is destroyed waits for its reads, handed over or not") {
  const TempFile file(4 * kMiB);
  const DiskStore store({file.as_model_file()});
  for (const Maker maker : {make_preferred, make_threads}) {
    const AlignedMemory memory(4 * kMiB);
    {
      std::string why;
      const std::unique_ptr<IoEngine> engine = maker(16, &why);
      for (std::uint64_t i = 0; i < 16; ++i) {
        const auto offset = static_cast<std::int64_t>(i) * 256 * kKiB;
        engine->submit({store.file(FileId{0}).fd, offset, 256 * kKiB, memory.data() + offset, i});
        if (i == 7) engine->flush();
      }
    }
    CHECK(std::memcmp(memory.data(), file.bytes().data(), file.bytes().size()) == 0);
  }
}

TEST_CASE("memory can be registered in several calls, and registering anew is not refused") {
  std::string why;
  const std::unique_ptr<IoEngine> engine = make_io_uring_engine(4, &why);
  if (engine == nullptr) {
    WARN("no io_uring here: " << why);
    CHECK_FALSE(why.empty());
    return;
  }
  const TempFile file(64 * kKiB);
  const DiskStore store({file.as_model_file()});
  const AlignedMemory first(64 * kKiB), second(64 * kKiB);
  CHECK(engine->register_memory(first.span(), &why));
  CHECK(engine->register_memory(second.span(), &why));
  for (const AlignedMemory* memory : {&first, &second}) {
    check_random_reads(*engine, store.file(FileId{0}), file, AlignedMemory(4 * 64 * kKiB), 20);
    engine->submit({store.file(FileId{0}).fd, 0, 64 * kKiB, memory->data(), 1});
    ReadCompletion done;
    REQUIRE(engine->reap({&done, 1}, true) == 1);
    CHECK(done.result == 64 * kKiB);
    CHECK(std::memcmp(memory->data(), file.bytes().data(), file.bytes().size()) == 0);
  }
}

// RLIMIT_MEMLOCK is 8 MiB for users by default, and counts only without CAP_IPC_LOCK, which
// setuid() drops.
TEST_CASE(
    "under a memlock limit of 8 MiB registering more is refused with the reason, and reads work") {
  const TempFile file(3 * kMiB);
  const DiskStore store({file.as_model_file()});
  const ChildResult child = run_in_child([&] {
    const rlimit limit{8 * kMiB, 8 * kMiB};
    if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0) return 1;
    if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) return 2;
    std::string why;
    const std::unique_ptr<IoEngine> engine = make_io_engine(8, &why);
    const AlignedMemory memory(16 * kMiB);
    if (engine->register_memory(memory.span(), &why)) return 3;
    if (engine->name() == std::string("io_uring") && why.find("memlock") == std::string::npos)
      return 4;
    for (std::int64_t i = 0; i < 3; ++i) {
      engine->submit({store.file(FileId{0}).fd, i * kMiB, kMiB, memory.data() + i * kMiB, 0});
    }
    ReadCompletion done;
    for (int n = 0; n < 3;) n += engine->reap({&done, 1}, true);
    if (std::memcmp(memory.data(), file.bytes().data(), file.bytes().size()) != 0) return 5;
    return engine->register_memory(memory.span().first(2 * kMiB), &why) ? 0 : 6;
  });
  CAPTURE(child.output);
  std::string why;
  const bool has_uring = make_io_uring_engine(1, &why) != nullptr;
  CHECK(child.exit_status == (has_uring ? 0 : 6));
}

TEST_CASE("without any thread to read with the engine of threads is an error that says why") {
  const ChildResult child = run_in_child([] {
    if (!forbid_threads()) return 1;
    try {
      make_thread_engine(16);
    } catch (const Error& error) {
      return std::string(error.what()).find("ulimit -u") == std::string::npos ? 2 : 0;
    }
    return 3;
  });
  INFO(child.output);
  CHECK(child.exit_status == 0);
}

TEST_CASE("with fewer threads than it wants the engine of threads reads all the same") {
  if (!kAddressSpaceCanBeLimited) return;
  const TempFile file(kMiB);
  const DiskStore store({file.as_model_file()});
  const ChildResult child = run_in_child([&] {
    const AlignedMemory memory(kMiB);
    if (!leave_address_space(40 * kMiB)) return 1;  // four stacks of 8 MiB
    const std::unique_ptr<IoEngine> engine = make_thread_engine(16);
    for (std::int64_t i = 0; i < 16; ++i) {
      const std::int64_t offset = i * 64 * kKiB;
      engine->submit({store.file(FileId{0}).fd, offset, 64 * kKiB, memory.data() + offset, 0});
    }
    ReadCompletion done;
    for (int n = 0; n < 16;) n += engine->reap({&done, 1}, true);
    return std::memcmp(memory.data(), file.bytes().data(), file.bytes().size()) == 0 ? 0 : 2;
  });
  INFO(child.output);
  CHECK(child.exit_status == 0);
}

TEST_CASE("more reads than the capacity are a bug, on every engine") {
  const TempFile file(4096);
  const DiskStore store({file.as_model_file()});
  const AlignedMemory memory(4096);
  for (const Maker maker : kMakers) {
    CHECK(fails_a_check([&] {
      std::string why;
      const std::unique_ptr<IoEngine> engine = maker(2, &why);
      for (int i = 0; i < 3; ++i)
        engine->submit({store.file(FileId{0}).fd, 0, 4096, memory.data(), 0});
    }));
    CHECK(fails_a_check([&] {
      std::string why;
      ReadCompletion done;
      maker(2, &why)->reap({&done, 1}, true);  // nothing to wait for
    }));
  }
}
