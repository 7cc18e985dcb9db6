#include "src/base/checksum.h"

#include <bit>
#include <cstring>

namespace windlass {
namespace {

constexpr std::size_t kLanes = 4;  // independent chains hide the multiplication's latency
constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15u;  // 2^64 over the golden ratio

// A bijection of the state for each word, so that no change of one word can cancel out.
std::uint64_t stirred(std::uint64_t state, std::uint64_t word) {
  return std::rotl((state ^ word) * kOdd, 29);
}

}  // namespace

std::uint64_t checksum64(std::span<const std::byte> bytes, std::uint64_t seed) {
  std::uint64_t lanes[kLanes];
  for (std::size_t lane = 0; lane < kLanes; ++lane) lanes[lane] = stirred(seed, lane + 1);
  const std::size_t total = bytes.size();
  while (bytes.size() >= sizeof lanes) {
    std::uint64_t words[kLanes];
    std::memcpy(words, bytes.data(), sizeof words);
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      lanes[lane] = stirred(lanes[lane], words[lane]);
    }
    bytes = bytes.subspan(sizeof lanes);
  }
  std::uint64_t rest[kLanes] = {};
  if (!bytes.empty()) std::memcpy(rest, bytes.data(), bytes.size());
  std::uint64_t sum = stirred(seed, total);
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    sum = stirred(sum, stirred(lanes[lane], rest[lane]));
  }
  sum ^= sum >> 32;
  sum *= kOdd;
  return sum ^ sum >> 29;
}

}  // namespace windlass
