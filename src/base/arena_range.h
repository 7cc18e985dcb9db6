// A carved range of an arena, of whichever tier.
#pragma once

#include <cstdint>

namespace windlass {

// Plain data: the arena owns the bytes.
struct ArenaRange {
  std::int64_t offset_bytes = 0;
  std::int64_t size_bytes = 0;
};

}  // namespace windlass
