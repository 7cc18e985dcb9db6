// The hard byte limit of one tier for the whole process, and who holds how much of it.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace windlass {

enum class Tier : std::uint8_t { kVram, kHost, kDisk };
const char* tier_name(Tier tier);  // "vram", "host", "disk"

// What bytes are for. Usage by tag sums to the budget's usage.
enum class Tag : std::uint8_t { kWeights, kRing, kKv, kActivations, kStaging, kTables };
inline constexpr int kTagCount = 6;
const char* tag_name(Tag tag);

class Budget;

// Bytes claimed before they exist; given back by the destructor. Move-only.
class Reservation {
 public:
  Reservation() = default;
  Reservation(Reservation&& other) noexcept;
  Reservation& operator=(Reservation&& other) noexcept;
  ~Reservation();
  std::int64_t size_bytes() const { return size_bytes_; }

 private:
  friend class Budget;
  Reservation(Budget* budget, Tag tag, std::int64_t size_bytes)
      : budget_(budget), tag_(tag), size_bytes_(size_bytes) {}
  Budget* budget_ = nullptr;
  Tag tag_ = Tag::kTables;
  std::int64_t size_bytes_ = 0;
};

// Thread-compatible (owner-thread). Outlives its reservations.
class Budget {
 public:
  Budget(Tier tier, std::int64_t limit_bytes) : tier_(tier), limit_bytes_(limit_bytes) {}
  // Error(kNoSpace) with tier, tag, asked, used and limit in units when it does not fit.
  Reservation reserve(Tag tag, std::int64_t size_bytes);
  std::int64_t limit_bytes() const { return limit_bytes_; }
  std::int64_t used_bytes() const;
  std::int64_t used_bytes(Tag tag) const { return used_[static_cast<std::size_t>(tag)]; }
  std::int64_t peak_bytes() const { return peak_bytes_; }
  Tier tier() const { return tier_; }

 private:
  friend class Reservation;
  Tier tier_;
  std::int64_t limit_bytes_;
  std::int64_t peak_bytes_ = 0;
  std::array<std::int64_t, kTagCount> used_{};
};

}  // namespace windlass
