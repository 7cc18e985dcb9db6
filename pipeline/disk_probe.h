// The disk's part of the profile: how fast the model's file comes in with the reads a run makes.
#pragma once

#include <cstddef>
#include <span>

#include "pipeline/profile.h"

namespace windlass {

// 12 reads of 1 MiB in flight.
inline constexpr std::size_t kDiskProbeBytes = std::size_t{12} << 20;

// Fills the profile's disk fields. Reads six times what a second brings, at most six times 512 MiB.
// buffer: kDirectAlignment aligned, at least kDiskProbeBytes. Error(kIo) naming the file.
void measure_disk(const ProfileOptions& options, Profile& profile, std::span<std::byte> buffer);

}  // namespace windlass
