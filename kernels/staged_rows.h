// Pieces of rows of weights in shared memory. They are copied 16 bytes at a time without a detour
// through registers, so that much is on its way while few registers are in use, and lie as they do
// in global memory: a piece of which 16 does not divide the address begins as many bytes after an
// address that it does.
#pragma once

#include <cstdint>

#include "kernels/formats/decoder.h"
#include "kernels/mma_words.h"

namespace windlass {

// Bytes from one row's piece of so many bytes to the next's: an odd number of 16 bytes, so that
// words at the same place of eight rows are in different banks.
constexpr std::int64_t staged_pitch(std::int64_t bytes) {
  return ((bytes + 15 + 15) / 16 | 1) * 16;
}

// Bytes [begin, end) of a row, of which `size` can be read.
struct RowPiece {
  const std::uint8_t* row;
  std::int64_t begin, end, size;
};

// Starts copies of a piece by half a warp, of which the thread is number `lane`. All that copy wait
// for their copies and meet the readers at a barrier then.
inline __device__ void stage_piece(std::uint8_t* to, const RowPiece& piece, int lane) {
  const int before =
      static_cast<int>(reinterpret_cast<std::uintptr_t>(piece.row + piece.begin) % 16);
  const std::uint8_t* from = piece.row + piece.begin - before;
  const std::int64_t bytes = before + piece.end - piece.begin;
  for (std::int64_t i = 16 * lane; i < bytes; i += 256) {
    const std::int64_t at = piece.begin - before + i;  // in the row
    if (at >= 0 && at + 16 <= piece.size) {
      copy_async(to + i, from + i);
    } else {  // at an end of the row: no byte beside it is read
      for (int j = 0; j < 16; ++j) {
        if (at + j >= 0 && at + j < piece.size) to[i + j] = from[i + j];
      }
    }
  }
}

// Where the piece is that was staged to `to`.
inline __device__ SharedBytes staged_piece(const std::uint8_t* to, const std::uint8_t* piece) {
  return {reinterpret_cast<const std::uint32_t*>(to),
          static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(piece) % 16)};
}

}  // namespace windlass
