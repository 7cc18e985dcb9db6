// The heap of a test program whose data a card must reach: operator new gives memory of one region,
// which the device can pin as a whole.
#pragma once

#include <cstddef>
#include <span>

namespace windlass::test {

// Whole pages; never given back.
std::span<std::byte> mapped_heap();

}  // namespace windlass::test
