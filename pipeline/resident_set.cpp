#include "pipeline/resident_set.h"

namespace windlass {
namespace {

// As many blocks of `range` as make a piece.
BlockRange piece_of(const BlockTable& blocks, const BlockRange& range) {
  BlockRange piece{range.first, 1};
  while (piece.count < range.count &&
         make_run(blocks, {piece.first, piece.count + 1}).aligned.size_bytes <=
             ResidentSet::kPieceBytes) {
    ++piece.count;
  }
  return piece;
}

}  // namespace

// Two pieces may both read the page that their border lies in: the same bytes to the same place.
ResidentSet::ResidentSet(TierManager& tiers, const BlockTable& blocks,
                         const std::vector<PlacedRun>& runs, std::byte* home)
    : tiers_(tiers) {
  for (const PlacedRun& placed : runs) {
    BlockRange rest = placed.run.blocks;
    while (rest.count > 0) {
      const Run piece = make_run(blocks, piece_of(blocks, rest));
      const std::int64_t offset =
          piece.aligned.offset_bytes - placed.run.aligned.offset_bytes + placed.arena_offset_bytes;
      pieces_.push_back({piece, home + offset});
      rest = {BlockId{index_of(rest.first) + piece.blocks.count}, rest.count - piece.blocks.count};
    }
  }
}

void ResidentSet::hold(const std::function<void(std::int64_t)>& progress) {
  if (held_) return;
  tiers_.load_all(pieces_, progress);
  held_ = true;
}

void ResidentSet::let_go() {
  if (!held_) return;
  for (const TierManager::Placed& piece : pieces_) tiers_.drop(piece.run);
  held_ = false;
}

}  // namespace windlass
