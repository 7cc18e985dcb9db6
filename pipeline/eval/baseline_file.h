// Logits of one side of a comparison in a file: written while the model runs, read back while
// another one runs, so that two models need not be in memory at once.
//
// The format, little-endian. 4096 bytes of header: "WLLOGIT1", the checksum64 of what follows in
// the header, and a JSON object padded with blanks (the fields of BaselineIdentity, and the rows'
// checksum). Then the rows, n_windows * rows() of them, each of
//
//     f64 log_sum, f64 nll, i64 top_id, u64 bits         of the float logits, exact
//     per tile of tile_columns ids: f32 low, f32 step, u16 code[columns]
//
// where a logit is low + step * code: about 2 B a logit, off by at most half a step, 1/131070 of
// what the tile's logits span (for logits over 30 nats 2e-4, which gives a KL of some 1e-8 nats
// between equal sides). `bits` tells rows that are equal bit for bit. The rows' checksum is the sum
// of the checksum64 of every summary and tile, each seeded with its offset: they are written in the
// order in which a model computes them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "pipeline/eval/comparison.h"
#include "pipeline/eval/teacher_forcing.h"
#include "src/base/output_file.h"
#include "src/format/posix_file.h"

namespace windlass {

// What was run on what.
struct BaselineIdentity {
  std::string model, settings;    // for people
  std::uint64_t fingerprint = 0;  // of the model
  std::uint64_t vocabulary = 0;   // vocabulary_hash(); 0: the model has no tokenizer
  std::uint64_t windows = 0;      // TokenWindows::hash()
  std::int64_t n_vocab = 0, n_windows = 0, tile_columns = 0;
  WindowShape shape;

  std::int64_t n_rows() const { return n_windows * shape.rows(); }
  std::int64_t n_tiles() const { return (n_vocab + tile_columns - 1) / tile_columns; }
  std::int64_t columns_of(std::int64_t tile) const;
  std::int64_t row_bytes() const;
  std::int64_t tile_offset(std::int64_t row, std::int64_t tile) const;
  std::int64_t file_bytes() const;
};

struct RowSummary {
  double log_sum = 0, nll = 0;
  std::int64_t top_id = 0;
  std::uint64_t bits = 0;
};

// Of logits as bits, whatever the order of their tiles: the sum of this over the tiles of a row.
std::uint64_t logit_bits(std::span<const float> logits, std::int64_t first_column);

// Owner-thread. Errors as OutputFile.
class BaselineWriter {
 public:
  // tile_columns: as the engine's tiles are (Engine::logits_tile_columns()).
  BaselineWriter(const std::string& path, const BaselineIdentity& identity);
  // Error(kBadFile) when a logit is no number.
  void add(const RowTile& tile);
  void add_window(std::int64_t window, std::span<const RowScore> rows);
  void finish();
  static std::int64_t buffer_bytes(const BaselineIdentity& identity);

 private:
  void write(std::int64_t offset, std::span<const std::byte> bytes);

  BaselineIdentity identity_;
  OutputFile file_;
  std::uint64_t rows_checksum_ = 0;
  std::vector<std::uint64_t> bits_;  // of the rows of the window that is coming in
  std::vector<std::byte> tile_;
};

// Owner-thread. Errors: Error(kIo); Error(kBadFile) for a file that is not whole or not of this
// format.
class BaselineReader {
 public:
  // Reads the whole file once, through a buffer of one tile, to check it.
  explicit BaselineReader(const std::string& path);
  const BaselineIdentity& identity() const { return identity_; }
  RowSummary summary(std::int64_t row) const;
  // The logits of a row from first_column on.
  void read(std::int64_t row, std::int64_t first_column, std::span<float> logits);
  static std::int64_t buffer_bytes(const BaselineIdentity& identity);

 private:
  void check_rows(std::uint64_t expected);
  [[noreturn]] void fail_damaged(const char* what) const;

  PosixFile file_;
  BaselineIdentity identity_;
  std::vector<std::byte> tile_;
};

}  // namespace windlass
