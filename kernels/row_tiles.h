// Ops that treat each element of some rows by itself: a thread an element, a block some columns of
// one row.
#pragma once

#include "kernels/device_words.h"
#include "kernels/op_table.h"

namespace windlass {

struct RowTiles {
  static constexpr int kColumns = 256;

  std::int64_t first_row, width, tiles;  // tiles of kColumns columns in a row
};

inline RowTiles row_tiles(const DeviceRange& rows, std::int64_t width) {
  return {rows.begin, width, (width + RowTiles::kColumns - 1) / RowTiles::kColumns};
}

struct RowElement {
  std::int64_t row, column;
};

// The running thread's. Columns of a row's last tile may be past the width.
inline __device__ RowElement row_element(const RowTiles& tiles) {
  return {tiles.first_row + blockIdx.x / tiles.tiles,
          blockIdx.x % tiles.tiles * RowTiles::kColumns + threadIdx.x};
}

// The kernel over rows of `width` elements.
template <class Args>
void launch_rows(void (*kernel)(Args, RowTiles), const Args& args, const DeviceRange& rows,
                 std::int64_t width) {
  const RowTiles tiles = row_tiles(rows, width);
  launch((rows.end - rows.begin) * tiles.tiles, RowTiles::kColumns, 0, rows.stream, kernel, args,
         tiles);
}

}  // namespace windlass
