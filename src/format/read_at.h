// How header readers get at bytes: a file (posix_file.h), or memory in tests and fuzz targets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace windlass {

// Fills `destination` wholly with the bytes from `offset` on, or throws.
using ReadAt = std::function<void(std::int64_t offset, std::span<std::byte> destination)>;

}  // namespace windlass
