// The contract tests on a card.
#include <memory>
#include <stdexcept>
#include <variant>

#include "src/device/cuda_device.h"
#include "tests/op_tables/gpu.h"
#include "tests/op_tables_card/mapped_heap.h"

namespace windlass::test {
namespace {

// Registered memory has one address for the host and, with unified addressing, for the device.
struct Card {
  Card()
      : device(open()),
        heap(get_or_fail(device->pin(mapped_heap()))),
        stream(device->make_stream()),
        done(device->make_event()) {}
  static std::unique_ptr<Device> open() {
    auto opened = open_cuda_device({});
    if (const auto* none = std::get_if<NoDevice>(&opened)) throw std::runtime_error(none->reason);
    return std::move(std::get<std::unique_ptr<Device>>(opened));
  }

  std::unique_ptr<Device> device;
  PinnedMemory heap;
  Stream stream;
  Event done;
};

Card& card() {
  static Card one;
  return one;
}

}  // namespace

DeviceRange on_gpu(WorkRange range) { return {range.begin, range.end, card().stream}; }

void wait_for_gpu() {
  card().device->record(card().stream, card().done);
  card().device->wait_for(card().done);
}

}  // namespace windlass::test
