#include "tiers/transfer.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>

#include "src/base/error.h"
#include "src/base/units.h"
#include "tests/support/catch.h"
#include "tests/support/child_process.h"
#include "tests/support/fault_io_engine.h"
#include "tests/support/seed.h"
#include "tests/tiers/model_fixture.h"

using namespace windlass;

namespace {

constexpr std::int64_t kPiece = 16 * kKiB;

// A file, a fake engine over it and memory of the file's size: byte i of the file goes to byte i of
// the memory.
struct Disk {
  explicit Disk(const FaultPlan& plan, std::int64_t size_bytes = kMiB + 1111, bool direct = true)
      : file(size_bytes),
        store({file.as_model_file()},
              [direct](int fd) { return direct ? probe_direct_read(fd) : std::string("test"); }),
        engine(plan),
        memory(size_bytes) {}
  TransferId start(DiskLink& link, std::int64_t offset, std::int64_t size,
                   std::int64_t deadline = 0) {
    return link.start({FileId{0}, offset, size}, memory.data() + offset, deadline);
  }
  bool arrived(std::int64_t offset, std::int64_t size) const {
    size = std::min(size, std::ssize(file.bytes()) - offset);
    return std::memcmp(memory.data() + offset, file.bytes().data() + offset,
                       static_cast<std::size_t>(size)) == 0;
  }

  TempFile file;
  DiskStore store;
  FaultIoEngine engine;
  AlignedMemory memory;
};

std::string error_of_wait(DiskLink& link, TransferId id) {
  try {
    link.wait(id);
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kIo);
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("transfers arrive whole through short reads, retries, delays and reordering") {
  for (std::uint64_t round = 0; round < 40; ++round) {
    const std::uint64_t seed = test_seed() + round;
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    Disk disk({.seed = seed,
               .capacity = static_cast<int>(random() % 12 + 1),
               .max_latency = static_cast<int>(random() % 5),
               .reorder = true,
               .short_read_rate = 0.3,
               .again_rate = 0.2},
              kMiB + 1111, round % 2 == 0);
    DiskLink link(disk.store, disk.engine, 5, kPiece);
    struct Started {
      TransferId id;
      std::int64_t offset, size;
    };
    std::vector<Started> started;
    for (std::int64_t offset = 0; offset < disk.memory.size_bytes;) {
      if (link.full() || (!started.empty() && random() % 3 == 0)) {
        const std::size_t i = random() % started.size();
        link.wait(started[i].id);
        REQUIRE(link.done(started[i].id));
        REQUIRE(disk.arrived(started[i].offset, started[i].size));
        link.release(started[i].id);
        started.erase(started.begin() + static_cast<std::ptrdiff_t>(i));
        continue;
      }
      const auto size = std::min(static_cast<std::int64_t>(random() % 20 + 1) * 4096,
                                 disk.memory.size_bytes - offset);
      started.push_back(
          {disk.start(link, offset, size, static_cast<std::int64_t>(random() % 4)), offset, size});
      offset += size;
      link.poll();
    }
    for (const Started& transfer : started) {
      link.wait(transfer.id);
      link.release(transfer.id);
    }
    REQUIRE(disk.arrived(0, disk.memory.size_bytes));
    REQUIRE(disk.engine.in_flight() == 0);
    REQUIRE(disk.engine.max_in_flight <= disk.engine.capacity());
    REQUIRE(link.stats().requests == std::ssize(disk.engine.submitted));
    REQUIRE(link.stats().bytes >= std::ssize(disk.file.bytes()));
  }
}

TEST_CASE(
    "reads are submitted by deadline, equal deadlines in the order of start, pieces in file "
    "order") {
  Disk disk({.seed = test_seed(), .capacity = 4, .max_latency = 2, .reorder = true});
  DiskLink link(disk.store, disk.engine, 16, kPiece);
  std::mt19937_64 random(test_seed());
  struct Wanted {
    std::int64_t deadline, offset;
  };
  std::vector<Wanted> wanted;
  std::vector<TransferId> ids;
  for (std::int64_t i = 0; i < 16; ++i) {
    const std::int64_t offset = (15 - i) * 3 * kPiece;
    const auto deadline = static_cast<std::int64_t>(random() % 5);
    ids.push_back(disk.start(link, offset, 3 * kPiece, deadline));
    for (int piece = 0; piece < 3; ++piece) wanted.push_back({deadline, offset + piece * kPiece});
  }
  for (const TransferId id : ids) link.wait(id);
  std::stable_sort(wanted.begin(), wanted.end(),
                   [](const Wanted& a, const Wanted& b) { return a.deadline < b.deadline; });
  REQUIRE(disk.engine.submitted.size() == wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    REQUIRE(disk.engine.submitted[i].offset_bytes == wanted[i].offset);
    REQUIRE(disk.engine.submitted[i].size_bytes == kPiece);
  }
}

TEST_CASE("an urgent read finds a free place although streaming reads are queued") {
  Disk disk({.capacity = 8, .hold = true});
  DiskLink link(disk.store, disk.engine, 4, kPiece);
  disk.start(link, 0, 32 * kPiece, -5);
  link.poll();
  REQUIRE(disk.engine.in_flight() == 6);
  disk.start(link, 40 * kPiece, 4096, kUrgent);
  link.poll();
  REQUIRE(disk.engine.in_flight() == 7);
  CHECK(disk.engine.submitted.back().offset_bytes == 40 * kPiece);
}

TEST_CASE("a failed read names file, offset and cause; other transfers and later ones go on") {
  for (int k = 0; k < 8; ++k) {
    Disk disk({.seed = test_seed(), .capacity = 3, .max_latency = 2, .fail_read = k});
    DiskLink link(disk.store, disk.engine, 4, kPiece);
    const TransferId first = disk.start(link, 0, 8 * kPiece, 0);
    const TransferId second = disk.start(link, 8 * kPiece, 8 * kPiece, 1);
    const std::string message = error_of_wait(link, first);
    CHECK_THAT(message, Contains(disk.file.path()));
    CHECK_THAT(message, Contains("at offset " + std::to_string(k * kPiece) + " of"));
    CHECK_THAT(message, Contains("Input/output error"));
    CHECK_THAT(message, Contains("dmesg"));
    CHECK(error_of_wait(link, first) == message);
    link.release(first);
    link.wait(second);
    CHECK(disk.arrived(8 * kPiece, 8 * kPiece));
    link.release(second);
    const TransferId again = disk.start(link, 0, 8 * kPiece, 0);
    link.wait(again);
    CHECK(disk.arrived(0, 8 * kPiece));
  }
}

TEST_CASE("a read that never makes progress fails instead of trying for ever") {
  Disk disk({.seed = test_seed(), .again_rate = 1.0});
  DiskLink link(disk.store, disk.engine, 1, kPiece);
  CHECK_THAT(error_of_wait(link, disk.start(link, 0, kPiece)), Contains("no byte arrived"));
}

TEST_CASE(
    "a file that gets shorter during the run is an error with both sizes, direct and buffered") {
  for (const bool direct : {true, false}) {
    for (const std::int64_t shorter : {0L, 8192L, 10'000L, 20'480L}) {
      Disk disk({.seed = test_seed(), .capacity = 2}, 30'000, direct);
      DiskLink link(disk.store, disk.engine, 2, 8192);
      const TransferId before = disk.start(link, 0, 8192, 0);
      link.wait(before);
      disk.file.truncate(shorter);
      const TransferId after = disk.start(link, 8192, 24'576, 0);
      CHECK_THAT(error_of_wait(link, after),
                 Contains("got shorter during the run: 30000 bytes when opened, now " +
                          std::to_string(shorter)) &&
                     Contains(disk.file.path()));
    }
  }
}

TEST_CASE("a file's last bytes arrive where the aligned end passes the end of the file") {
  for (const bool direct : {true, false}) {
    for (const std::int64_t size :
         {1L, 4095L, 4096L, 4097L, kPiece - 1, kPiece, kPiece + 1, 3 * kPiece + 5}) {
      Disk disk({.seed = test_seed(), .capacity = 2, .short_read_rate = 0.5}, size, direct);
      DiskLink link(disk.store, disk.engine, 1, kPiece);
      link.wait(disk.start(link, 0, align_up(size, kDirectAlignment)));
      CHECK(disk.arrived(0, size));
      CHECK(std::all_of(disk.engine.submitted.begin(), disk.engine.submitted.end(),
                        [&](const ReadRequest& read) { return read.offset_bytes < size; }));
    }
  }
}

TEST_CASE("releasing a transfer drops its queue and waits for its reads") {
  Disk disk({.capacity = 4, .hold = true});
  DiskLink link(disk.store, disk.engine, 2, kPiece);
  const TransferId cancelled = disk.start(link, 0, 20 * kPiece, 0);
  const TransferId other = disk.start(link, 20 * kPiece, 2 * kPiece, 1);
  link.poll();
  REQUIRE(disk.engine.in_flight() == 3);
  link.release(cancelled);
  CHECK(std::none_of(disk.engine.submitted.begin() + 3, disk.engine.submitted.end(),
                     [](const ReadRequest& read) { return read.offset_bytes < 20 * kPiece; }));
  CHECK_FALSE(link.full());
  link.wait(other);
  CHECK(disk.arrived(20 * kPiece, 2 * kPiece));
  CHECK(disk.engine.in_flight() == 0);
  CHECK(disk.engine.submitted.size() == 5);
}

TEST_CASE("a link that is destroyed waits for its reads and forgets its queue") {
  Disk disk({.capacity = 4, .hold = true});
  {
    DiskLink link(disk.store, disk.engine, 2, kPiece);
    disk.start(link, 0, 20 * kPiece, 0);
    link.poll();
    REQUIRE(disk.engine.in_flight() == 3);
  }
  CHECK(disk.engine.in_flight() == 0);
  CHECK(disk.engine.submitted.size() == 3);
}

TEST_CASE("polling a link never waits, waiting sleeps in the engine") {
  Disk disk({.capacity = 4, .hold = true});
  DiskLink link(disk.store, disk.engine, 2, kPiece);
  const TransferId id = disk.start(link, 0, 8 * kPiece, 0);
  for (int i = 0; i < 5; ++i) link.poll();
  CHECK_FALSE(link.done(id));
  CHECK(disk.engine.submitted.size() == 3);
  CHECK(link.stats().busy_s > 0);
  link.wait(id);
  const LinkStats stats = link.stats();
  CHECK(stats.bytes == 8 * kPiece);
  CHECK(stats.requests == 8);
  CHECK(link.stats().busy_s == stats.busy_s);  // nothing in flight: not busy
}

TEST_CASE("a full link, an unaligned extent and a dead transfer are bugs") {
  Disk disk({});
  DiskLink link(disk.store, disk.engine, 1, kPiece);
  CHECK(fails_a_check([&] { disk.start(link, 512, 4096); }));
  CHECK(fails_a_check([&] { disk.start(link, 0, 100); }));
  CHECK(fails_a_check([&] { disk.start(link, 2 * kMiB, 4096); }));
  CHECK(fails_a_check([&] { link.start({FileId{0}, 0, 4096}, disk.memory.data() + 8, 0); }));
  CHECK(fails_a_check([&] { DiskLink(disk.store, disk.engine, 1, 1000); }));
  const TransferId id = disk.start(link, 0, 4096);
  CHECK(link.full());
  CHECK(fails_a_check([&] { disk.start(link, 4096, 4096); }));
  link.wait(id);
  link.release(id);
  CHECK(fails_a_check([&] { link.done(id); }));
  CHECK(fails_a_check([&] { link.release(id); }));
}
