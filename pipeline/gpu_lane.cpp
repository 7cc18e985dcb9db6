#include "pipeline/gpu_lane.h"

#include <chrono>
#include <thread>

#include "src/base/check.h"
#include "src/base/clock.h"

namespace windlass {

GpuLane::GpuLane(const GpuLaneParts& parts)
    : parts_(parts),
      binder_(parts.binder, GpuBackend{parts.ops, parts.compute, parts.tables,
                                       std::max(parts.device.info().multiprocessors, 1)}),
      ring_(parts.tier, parts.ring_memory, parts.ring_slots, parts.slot_bytes, &Plan::vram_loads),
      known_sent_(parts.device.make_event()) {
  for (std::size_t i = 0; i < parts.binder.graph.buffers.size(); ++i) {
    copies_.push_back({parts.device.make_event(), parts.device.make_event()});
  }
}

void GpuLane::wait_for_known() { wait(known_sent_); }

void GpuLane::begin_step(const Plan& plan, const Plan* next, const StepInput& step, bool overlap) {
  ring_.begin_step(&plan, next);
  binder_.begin_step(step);
  const ActivationLayout& layout = binder_.layout();
  const ActivationLayout& of_host = parts_.host.layout();
  WINDLASS_CHECK(layout.known_bytes() == of_host.known_bytes(), layout.known_bytes(),
                 of_host.known_bytes());
  parts_.device.copy_to_device(
      parts_.compute, parts_.binder.activations + layout.known_offset(),
      {parts_.host.known(), static_cast<std::size_t>(layout.known_bytes())});
  parts_.device.record(parts_.compute, known_sent_);
  parts_.tables.begin_step(step);
  ring_.pump(0, overlap);
}

void GpuLane::copy(const BufferMove& move, std::int64_t offset_bytes, std::int64_t size_bytes) {
  std::byte* in_vram = binder_.bytes(move.buffer) + offset_bytes;
  const std::span<std::byte> in_host(parts_.host.bytes(move.buffer) + offset_bytes,
                                     static_cast<std::size_t>(size_bytes));
  if (move.to == Processor::kGpu) {
    parts_.device.copy_to_device(parts_.compute, in_vram, in_host);
    moved_to_vram_bytes_ += size_bytes;
  } else {
    parts_.device.copy_to_host(parts_.compute, in_host, in_vram);
    to_host_.bytes += size_bytes;
  }
}

// On the stream of the kernels: what the GPU does next starts when the copy is done, so that
// nothing in VRAM is overwritten while it is read.
void GpuLane::move(const BufferMove& move) {
  constexpr auto kFloatBytes = static_cast<std::int64_t>(sizeof(float));
  Copy& last = copies_[static_cast<std::size_t>(index_of(move.buffer))];
  const std::int64_t all_bytes = binder_.step_bytes(move.buffer);
  if (all_bytes == 0) return;
  if (move.to == Processor::kCpu) wait_for_buffer(move.buffer);
  parts_.device.record(parts_.compute, last.begun);
  if (move.n_columns == 0) {
    copy(move, 0, all_bytes);
  } else {
    const std::int64_t rows = binder_.rows_in(move.buffer), row_bytes = all_bytes / rows;
    const std::int64_t of_host = parts_.host.step_bytes(move.buffer) / rows;
    WINDLASS_CHECK(row_bytes == of_host, row_bytes, of_host);
    for (std::int64_t row = 0; row < rows; ++row) {
      copy(move, row * row_bytes + move.first_column * kFloatBytes, move.n_columns * kFloatBytes);
    }
  }
  parts_.device.record(parts_.compute, last.done);
  last.pending = true;
  last.to_host = move.to == Processor::kCpu;
}

void GpuLane::run(const ComputeEntry& entry, const StepInput& step) {
  const std::byte* weights = entry.blocks.count > 0 ? parts_.tier.ready(entry.blocks) : nullptr;
  binder_.run({&entry, weights}, step);
}

void GpuLane::wait_for_buffer(BufferId buffer) {
  Copy& last = copies_[static_cast<std::size_t>(index_of(buffer))];
  if (!last.pending) return;
  wait(last.done);
  last.pending = false;
  if (last.to_host) to_host_.busy_s += parts_.device.seconds_between(last.begun, last.done);
}

void GpuLane::let_go(std::int32_t last, bool overlap) {
  ring_.release(last);
  ring_.pump(last + 1, overlap);
  parts_.tier.pump();
}

void GpuLane::give_up() {
  ring_.clear();
  const Event idle = known_sent_;
  parts_.device.record(parts_.compute, idle);
  parts_.device.wait_for(idle);
  for (Copy& each : copies_) each.pending = false;
}

LinkUse GpuLane::host_to_vram() const {
  return {parts_.tier.sent_bytes() + moved_to_vram_bytes_, parts_.tier.busy_s()};
}

// Goes on feeding the device meanwhile: what it waits for may have to come from disk first.
void GpuLane::wait(Event event) {
  constexpr auto kNap = std::chrono::microseconds(20);
  const double begin_s = now_s();
  while (parts_.tier.reads_in_flight() && !parts_.device.done(event)) {
    parts_.tier.pump();
    std::this_thread::sleep_for(kNap);
  }
  parts_.device.wait_for(event);
  wait_s_ += now_s() - begin_s;
}

}  // namespace windlass
