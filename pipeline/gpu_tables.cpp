#include "pipeline/gpu_tables.h"

#include <algorithm>

#include "src/base/check.h"
#include "src/base/units.h"

namespace windlass {
namespace {

constexpr std::int64_t kPointer = sizeof(std::byte*), kSegment = sizeof(KvSegment);

std::int64_t pages_of(std::int64_t context_tokens) {
  return (context_tokens + kKvPageTokens - 1) / kKvPageTokens;
}

}  // namespace

std::int64_t gpu_table_bytes(const KvShape& shape, std::int64_t context_tokens,
                             std::int64_t n_sequences) {
  return align_up(n_sequences * shape.n_layers * (pages_of(context_tokens) * kPointer + kSegment),
                  DeviceArena::kAlignment);
}

GpuTables::GpuTables(Device& device, Stream stream, std::byte* vram,
                     std::span<const KvPages> sequences)
    : device_(device),
      stream_(stream),
      sequences_(sequences),
      n_layers_(sequences.front().shape().n_layers),
      pages_per_layer_(pages_of(sequences.front().context_tokens())),
      host_(get_or_fail(device.allocate_pinned(gpu_table_bytes(
          sequences.front().shape(), sequences.front().context_tokens(), std::ssize(sequences))))),
      vram_(vram),
      sent_(device.make_event()) {
  sequence_of_.reserve(sequences.size());
  for (std::int64_t sequence = 0; sequence < std::ssize(sequences); ++sequence) {
    for (std::int64_t layer = 0; layer < n_layers_; ++layer) {
      std::byte* const* pages = sequences[static_cast<std::size_t>(sequence)].pages(layer);
      auto* table = reinterpret_cast<std::byte**>(host_.data() + table_of(sequence, layer));
      std::copy_n(pages, pages_per_layer_, table);
    }
  }
  const std::int64_t bytes = table_of(std::ssize(sequences), 0);
  device_.copy_to_device(stream_, vram_, host_.span().first(static_cast<std::size_t>(bytes)));
  device_.record(stream_, sent_);
}

// Segments come first: a step's are one copy.
std::int64_t GpuTables::table_of(std::int64_t sequence, std::int64_t layer) const {
  return std::ssize(sequences_) * n_layers_ * kSegment +
         (sequence * n_layers_ + layer) * pages_per_layer_ * kPointer;
}

void GpuTables::begin_step(const StepInput& step) {
  WINDLASS_CHECK(step.spans.size() <= sequences_.size(), step.spans.size(), sequences_.size());
  device_.wait_for(sent_);
  auto* segments = reinterpret_cast<KvSegment*>(host_.data());
  sequence_of_.clear();
  for (const Span& span : step.spans) {
    const std::int64_t sequence = span.kv - sequences_.data();
    WINDLASS_CHECK(sequence >= 0 && sequence < std::ssize(sequences_), sequence);
    const auto index = std::ssize(sequence_of_);
    sequence_of_.push_back(sequence);
    for (std::int64_t layer = 0; layer < n_layers_; ++layer) {
      segments[index * n_layers_ + layer] = {pages(static_cast<std::size_t>(index), layer),
                                             span.first_position + std::ssize(span.ids), 0, true};
    }
  }
  const auto bytes = static_cast<std::size_t>(std::ssize(step.spans) * n_layers_ * kSegment);
  device_.copy_to_device(stream_, vram_, host_.span().first(bytes));
  device_.record(stream_, sent_);
}

std::byte* const* GpuTables::pages(std::size_t span, std::int64_t layer) const {
  return reinterpret_cast<std::byte* const*>(vram_ + table_of(sequence_of_[span], layer));
}

const KvSegment* GpuTables::segment(std::size_t span, std::int64_t layer) const {
  return reinterpret_cast<const KvSegment*>(vram_) + static_cast<std::int64_t>(span) * n_layers_ +
         layer;
}

}  // namespace windlass
