// Remembers the ids of recently seen short words, since natural text repeats them: a direct-mapped
// table of fixed size.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace windlass {

// Owner-thread. 192 KiB, allocated once. A hit compares the whole word, so it never gives another
// word's ids.
class WordCache {
 public:
  WordCache() : slots_(kSlots) {}

  // The ids of a remembered word, valid until the next put; an empty span if it is not remembered.
  std::span<const std::int32_t> find(std::string_view word) const;
  // Remembers it in place of whatever held its slot; a word or an id list that is too long is not
  // remembered.
  void put(std::string_view word, std::span<const std::int32_t> ids);
  std::int64_t size_bytes() const {
    return static_cast<std::int64_t>(slots_.capacity() * sizeof(Slot));
  }

 private:
  // English text: 99 % of the words have at most 15 bytes and 4 ids; 48 B hold a little more than
  // that.
  static constexpr std::size_t kWordBytes = 26;
  static constexpr std::size_t kWordIds = 5;
  static constexpr std::size_t kSlots = 4096;

  struct Slot {
    std::array<std::int32_t, kWordIds> ids;
    std::uint8_t n_ids;  // 0: empty
    std::uint8_t n_bytes;
    std::array<char, kWordBytes> word;
  };
  static_assert(sizeof(Slot) == 48);

  static std::size_t slot_of(std::string_view word);

  std::vector<Slot> slots_;
};

}  // namespace windlass
