// The disk's part of the profile: how fast the model's file comes in with the reads a run makes.
#pragma once

#include <cstddef>
#include <span>

#include "cpu_kernels/op_table.h"
#include "pipeline/profile.h"

namespace windlass {

// 12 reads of 1 MiB in flight.
inline constexpr std::size_t kDiskProbeBytes = std::size_t{12} << 20;

// Reads every byte once, on all threads of the team, as an op reads its weights.
void read_through(Team& team, std::span<const std::byte> bytes);

// Fills the profile's disk fields, with the team busy as it is in a run: each MiB that has arrived
// is read through, so that interrupts, copies and compute share the cores and the memory. Reads six
// times what a second brings, at most six times 512 MiB. buffer: kDirectAlignment aligned, at least
// kDiskProbeBytes. Error(kIo) naming the file.
void measure_disk(const ProfileOptions& options, Profile& profile, Team& team,
                  std::span<std::byte> buffer);

}  // namespace windlass
