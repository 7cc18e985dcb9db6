// A 64-bit checksum that tells damaged bytes from whole ones. Not for keys that somebody could
// forge.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace windlass {

// Of the bytes and their number. `seed` chains: a checksum of parts is checksum64(b,
// checksum64(a)). Cost: about 4 bytes a cycle.
std::uint64_t checksum64(std::span<const std::byte> bytes, std::uint64_t seed = 0);

}  // namespace windlass
