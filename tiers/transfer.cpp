#include "tiers/transfer.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "src/base/check.h"
#include "src/base/clock.h"
#include "src/base/error.h"
#include "src/base/units.h"

namespace windlass {
namespace {

// Completions without a byte of progress (EINTR, EAGAIN, a torn read) before a read counts as
// failed.
constexpr int kMaxRetries = 64;

struct Transfer {
  bool live = false;
  Extent extent;
  std::byte* destination = nullptr;
  std::int64_t deadline = 0;
  std::uint64_t sequence = 0;
  std::int64_t needed_bytes = 0;     // of the extent, up to the end of the file
  std::int64_t submitted_bytes = 0;  // may pass needed_bytes by the rounding of the last piece
  int in_flight = 0;                 // reads
  std::string error;                 // empty: none failed
};

// One piece of a transfer in flight.
struct Read {
  int transfer = -1;
  std::int64_t offset_bytes = 0;  // in the file
  std::byte* destination = nullptr;
  std::int64_t size_bytes = 0;
  std::int64_t needed_bytes = 0;  // <= size_bytes: the file can end inside
  std::int64_t done_bytes = 0;
  int retries = 0;
};

std::int64_t file_size_now(const DiskFile& file) {
  struct stat status {};
  return fstat(file.fd, &status) == 0 ? std::int64_t{status.st_size} : file.size_bytes;
}

}  // namespace

struct DiskLink::State {
  State(const DiskStore& disk_store, IoEngine& io_engine, int max_transfers,
        std::int64_t split_bytes)
      : store(disk_store),
        engine(io_engine),
        request_bytes(split_bytes),
        urgent_reads(io_engine.capacity() / 4),
        transfers(static_cast<std::size_t>(max_transfers)),
        reads(static_cast<std::size_t>(io_engine.capacity())) {
    queue.reserve(transfers.size());
    for (int i = max_transfers; i-- > 0;) free_transfers.push_back(i);
    for (int i = io_engine.capacity(); i-- > 0;) free_reads.push_back(i);
  }

  const DiskStore& store;
  IoEngine& engine;
  const std::int64_t request_bytes;
  const int urgent_reads;  // places of the engine that only kUrgent transfers may take
  std::vector<Transfer> transfers;
  std::vector<Read> reads;
  std::vector<int> free_transfers, free_reads;
  std::vector<int> queue;  // heap of transfers with unsubmitted bytes, soonest on top
  std::uint64_t n_started = 0;
  int in_flight = 0;
  double busy_since_s = 0;
  LinkStats stats;

  Transfer& at(TransferId id) {
    Transfer& transfer = transfers[static_cast<std::size_t>(id)];
    WINDLASS_CHECK(transfer.live, static_cast<int>(id));
    return transfer;
  }
  const DiskFile& file_of(const Read& read) const {
    return store.file(transfers[static_cast<std::size_t>(read.transfer)].extent.file);
  }
  auto later() const {
    return [this](int a, int b) {
      const Transfer& x = transfers[static_cast<std::size_t>(a)];
      const Transfer& y = transfers[static_cast<std::size_t>(b)];
      return std::pair(x.deadline, x.sequence) > std::pair(y.deadline, y.sequence);
    };
  }

  void submit_queued();
  void submit_piece(int transfer_index);
  void hand_to_engine(int read_index);
  void drain(bool wait);
  void complete(const ReadCompletion& completion);
  // Whether the read ended: all its bytes arrived, or it failed. Else it must be continued.
  bool account(Read& read, std::int64_t result);
  bool account_short(Read& read, bool no_progress);
  void fail_read(const Read& read, std::string error);
  void drop_queued(int transfer_index);
};

void DiskLink::State::submit_queued() {
  while (!queue.empty() && !free_reads.empty()) {
    const int top = queue.front();
    Transfer& transfer = transfers[static_cast<std::size_t>(top)];
    if (transfer.deadline != kUrgent && static_cast<int>(free_reads.size()) <= urgent_reads) break;
    submit_piece(top);
    if (transfer.submitted_bytes < transfer.needed_bytes) continue;
    std::pop_heap(queue.begin(), queue.end(), later());
    queue.pop_back();
  }
  engine.flush();
}

void DiskLink::State::submit_piece(int transfer_index) {
  Transfer& transfer = transfers[static_cast<std::size_t>(transfer_index)];
  const int read_index = free_reads.back();
  free_reads.pop_back();
  Read& read = reads[static_cast<std::size_t>(read_index)];
  read.transfer = transfer_index;
  read.offset_bytes = transfer.extent.offset_bytes + transfer.submitted_bytes;
  read.destination = transfer.destination + transfer.submitted_bytes;
  read.size_bytes = std::min(request_bytes, transfer.extent.size_bytes - transfer.submitted_bytes);
  read.needed_bytes = std::min(read.size_bytes, transfer.needed_bytes - transfer.submitted_bytes);
  read.done_bytes = 0;
  read.retries = 0;
  transfer.submitted_bytes += read.size_bytes;
  ++transfer.in_flight;
  if (in_flight++ == 0) busy_since_s = now_s();
  hand_to_engine(read_index);
}

void DiskLink::State::hand_to_engine(int read_index) {
  const Read& read = reads[static_cast<std::size_t>(read_index)];
  ++stats.requests;
  engine.submit({file_of(read).fd, read.offset_bytes + read.done_bytes,
                 read.size_bytes - read.done_bytes, read.destination + read.done_bytes,
                 static_cast<std::uint64_t>(read_index)});
}

void DiskLink::State::drain(bool wait) {
  std::array<ReadCompletion, 32> completions;
  int n = 0;
  do {
    n = engine.reap(completions, wait);
    for (int i = 0; i < n; ++i) complete(completions[static_cast<std::size_t>(i)]);
    wait = false;
  } while (n == static_cast<int>(completions.size()));
}

void DiskLink::State::complete(const ReadCompletion& completion) {
  const auto index = static_cast<int>(completion.user);
  WINDLASS_CHECK(completion.user < reads.size(), completion.user, reads.size());
  Read& read = reads[static_cast<std::size_t>(index)];
  WINDLASS_CHECK(read.transfer >= 0, index);
  if (!account(read, completion.result)) return hand_to_engine(index);
  --transfers[static_cast<std::size_t>(read.transfer)].in_flight;
  read.transfer = -1;
  free_reads.push_back(index);
  if (--in_flight == 0) stats.busy_s += now_s() - busy_since_s;
}

bool DiskLink::State::account(Read& read, std::int64_t result) {
  if (result == -EINTR || result == -EAGAIN) return account_short(read, true);
  if (result < 0) {
    fail_read(read, std::generic_category().message(static_cast<int>(-result)) +
                        "; check the disk (dmesg) and copy the file elsewhere");
    return true;
  }
  stats.bytes += result;
  read.done_bytes += result;
  return read.done_bytes >= read.needed_bytes || account_short(read, result == 0);
}

// A read that ended early: says whether to give it up. A direct read goes on at an aligned offset,
// so a ragged tail is read once more.
bool DiskLink::State::account_short(Read& read, bool no_progress) {
  const DiskFile& file = file_of(read);
  const std::int64_t usable =
      file.direct ? align_down(read.done_bytes, kDirectAlignment) : read.done_bytes;
  no_progress = no_progress || usable < read.done_bytes;
  read.done_bytes = usable;
  read.retries = no_progress ? read.retries + 1 : 0;
  const std::int64_t size_now = no_progress ? file_size_now(file) : file.size_bytes;
  if (size_now < file.size_bytes) {
    fail_read(read,
              fmt::format("the file got shorter during the run: {} bytes when opened, now {}; "
                          "restore it and run again",
                          file.size_bytes, size_now));
    return true;
  }
  if (read.retries <= kMaxRetries) return false;
  fail_read(read, fmt::format("no byte arrived in {} tries; check the disk (dmesg)", kMaxRetries));
  return true;
}

void DiskLink::State::fail_read(const Read& read, std::string error) {
  Transfer& transfer = transfers[static_cast<std::size_t>(read.transfer)];
  if (transfer.error.empty()) {
    transfer.error =
        fmt::format("reading {} at offset {} of {} failed: {}", format_size(read.size_bytes),
                    read.offset_bytes, file_of(read).path, error);
  }
  drop_queued(read.transfer);
}

void DiskLink::State::drop_queued(int transfer_index) {
  const auto found = std::find(queue.begin(), queue.end(), transfer_index);
  if (found == queue.end()) return;
  *found = queue.back();
  queue.pop_back();
  std::make_heap(queue.begin(), queue.end(), later());
}

DiskLink::DiskLink(const DiskStore& store, IoEngine& engine, int max_transfers,
                   std::int64_t request_bytes)
    : state_(std::make_unique<State>(store, engine, max_transfers, request_bytes)) {
  WINDLASS_CHECK(max_transfers > 0, max_transfers);
  WINDLASS_CHECK(request_bytes > 0 && request_bytes % kDirectAlignment == 0, request_bytes);
}

DiskLink::~DiskLink() {
  state_->queue.clear();
  while (state_->in_flight > 0) {
    state_->engine.flush();
    state_->drain(true);
  }
}

bool DiskLink::full() const { return state_->free_transfers.empty(); }

TransferId DiskLink::start(const Extent& extent, std::byte* destination, std::int64_t deadline) {
  WINDLASS_CHECK(!full());
  const std::int64_t file_bytes = state_->store.file(extent.file).size_bytes;
  WINDLASS_CHECK(extent.offset_bytes % kDirectAlignment == 0, extent.offset_bytes);
  WINDLASS_CHECK(extent.size_bytes % kDirectAlignment == 0, extent.size_bytes);
  WINDLASS_CHECK(extent.size_bytes > 0 && extent.offset_bytes < file_bytes, extent.offset_bytes,
                 extent.size_bytes, file_bytes);
  WINDLASS_CHECK(reinterpret_cast<std::intptr_t>(destination) % kDirectAlignment == 0);
  const int index = state_->free_transfers.back();
  state_->free_transfers.pop_back();
  Transfer& transfer = state_->transfers[static_cast<std::size_t>(index)];
  transfer.live = true;
  transfer.extent = extent;
  transfer.destination = destination;
  transfer.deadline = deadline;
  transfer.sequence = state_->n_started++;
  transfer.needed_bytes = std::min(extent.size_bytes, file_bytes - extent.offset_bytes);
  transfer.submitted_bytes = 0;
  transfer.error.clear();
  state_->queue.push_back(index);
  std::push_heap(state_->queue.begin(), state_->queue.end(), state_->later());
  return TransferId{index};
}

void DiskLink::poll() {
  if (state_->in_flight == 0 && state_->queue.empty()) return;
  state_->drain(false);
  state_->submit_queued();
}

bool DiskLink::done(TransferId id) {
  const Transfer& transfer = state_->at(id);
  if (!transfer.error.empty()) throw Error(ErrorCode::kIo, transfer.error);
  return transfer.in_flight == 0 && transfer.submitted_bytes >= transfer.needed_bytes;
}

void DiskLink::wait(TransferId id) {
  poll();
  while (!done(id)) {
    state_->drain(true);
    state_->submit_queued();
  }
}

void DiskLink::release(TransferId id) {
  Transfer& transfer = state_->at(id);
  state_->drop_queued(static_cast<int>(id));
  while (transfer.in_flight > 0) {
    state_->engine.flush();
    state_->drain(true);
    state_->submit_queued();
  }
  transfer.live = false;
  state_->free_transfers.push_back(static_cast<int>(id));
}

LinkStats DiskLink::stats() const {
  LinkStats stats = state_->stats;
  if (state_->in_flight > 0) stats.busy_s += now_s() - state_->busy_since_s;
  return stats;
}

std::int64_t DiskLink::size_bytes() const {
  return static_cast<std::int64_t>(sizeof(State) + state_->transfers.capacity() * sizeof(Transfer) +
                                   state_->reads.capacity() * sizeof(Read) +
                                   (state_->free_transfers.capacity() +
                                    state_->free_reads.capacity() + state_->queue.capacity()) *
                                       sizeof(int));
}

}  // namespace windlass
