#include "pipeline/convert.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>

#include "cpu_kernels/op_table.h"
#include "src/base/checksum.h"
#include "src/base/error.h"
#include "src/base/half.h"
#include "src/base/output_target.h"
#include "src/base/resumable_file.h"
#include "src/base/units.h"
#include "src/format/gguf_header_builder.h"
#include "src/format/posix_file.h"
#include "src/quant/encode.h"

namespace windlass {
namespace {

// Pieces of this size keep the disk and the team busy; a smaller budget makes smaller ones.
constexpr std::int64_t kMostPieceBytes = 16 * kMiB;
constexpr float kLargestHalf = 65504.0f;
// Changes whenever the encoders do, so that no file is half of the one and half of the other.
constexpr std::uint64_t kEncoderVersion = 1;

// Rows of one tensor to be encoded: an op for the team. Items: rows.
struct EncodeRowsArgs {
  const std::byte* in;  // [rows] of in_row_bytes
  std::byte* out;       // [rows] of out_row_bytes
  DType from, to;
  std::int64_t width, in_row_bytes, out_row_bytes;
  std::atomic<std::int64_t>* bad_row;  // the last row found that holds what `to` cannot; untouched
};

void widen(DType from, const std::byte* in, std::int64_t n, float* out) {
  if (from == DType::kF32) {
    std::memcpy(out, in, static_cast<std::size_t>(n) * sizeof(float));
    return;
  }
  for (std::int64_t i = 0; i < n; ++i) {
    std::uint16_t bits;
    std::memcpy(&bits, in + 2 * i, sizeof bits);
    out[i] = from == DType::kF16 ? f32_from_f16(bits) : f32_from_bf16(bits);
  }
}

bool all_within(const float* x, std::int64_t n, float largest) {
  bool within = true;
  for (std::int64_t i = 0; i < n; ++i) within &= std::abs(x[i]) <= largest;  // false for NaN
  return within;
}

void encode_rows(const EncodeRowsArgs& args, WorkRange range) {
  constexpr std::int64_t kTile = 2048;  // weights: whole blocks of every type, 8 KiB
  float tile[kTile];
  const bool holds_all = args.to == DType::kF32 || args.to == DType::kBF16;
  const std::int64_t in_bytes = dtype_info(args.from).block_bytes;
  for (std::int64_t row = range.begin; row < range.end; ++row) {
    const std::byte* in = args.in + row * args.in_row_bytes;
    std::byte* out = args.out + row * args.out_row_bytes;
    for (std::int64_t i = 0; i < args.width; i += kTile) {
      const std::int64_t n = std::min(kTile, args.width - i);
      widen(args.from, in + i * in_bytes, n, tile);
      if (!holds_all && !all_within(tile, n, kLargestHalf)) {
        args.bad_row->store(row, std::memory_order_relaxed);
        break;
      }
      encode_row(args.to, tile, n, out + row_bytes(args.to, i));
    }
  }
}

bool is_float(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
}

class Converter {
 public:
  Converter(const TensorTable& source, const ConvertOptions& options)
      : source_(source), options_(options), choices_(choose_types(source, options.types)) {
    for (const ModelFile& file : source.files) {
      files_.push_back(std::make_unique<PosixFile>(file.path));
    }
  }
  ConvertReport run(const Progress& progress);

 private:
  void check_source() const;
  void declare();
  std::uint64_t identity(const std::string& header) const;
  void size_buffers(std::int64_t header_bytes);
  // From the first row that is not yet in the file on.
  void convert_tensor(std::size_t index, Team& team, ResumableFile& file, const Progress& progress);
  void convert_piece(const TensorInfo& tensor, std::int64_t first_row, std::int64_t rows,
                     Team& team);
  std::int64_t padded_bytes(std::size_t index) const;

  const TensorTable& source_;
  const ConvertOptions& options_;
  const std::vector<TypeChoice> choices_;
  std::vector<std::unique_ptr<PosixFile>> files_;
  GgufHeaderBuilder builder_;
  std::int64_t header_bytes_ = 0, piece_bytes_ = 0;
  std::vector<std::byte> in_, out_;
};

void Converter::check_source() const {
  for (const TensorInfo& tensor : source_.tensors) {
    if (is_float(tensor.type)) continue;
    fail(ErrorCode::kUnsupported,
         "{}: tensor '{}' has the type {}: only F32, F16 and BF16 can be converted; start from the "
         "model's float file",
         source_.files.front().path, tensor.name, dtype_info(tensor.type).name);
  }
}

// All metadata of the source, but for what describes its own storage.
void Converter::declare() {
  const auto copied = [](const std::string& key) {
    return !key.starts_with("split.") && key != "general.file_type" &&
           key != "general.quantization_version" && key != "general.alignment";
  };
  for (const auto& [key, value] : source_.metadata) {
    if (copied(key)) builder_.copy_metadata(source_, key);
  }
  for (const auto& [key, value] : source_.arrays) builder_.copy_metadata(source_, key);
  builder_.add_metadata_u32("general.file_type", gguf_file_type(options_.types.matrices));
  builder_.add_metadata_u32("general.quantization_version", 2);
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    const TensorInfo& tensor = source_.tensors[i];
    builder_.add_tensor(tensor.name, choices_[i].type,
                        tensor.shape.empty() ? std::vector<std::int64_t>{1} : tensor.shape);
  }
}

// What is written depends on nothing else: the header names all types, and a source file is told
// from another by size and time of last writing.
std::uint64_t Converter::identity(const std::string& header) const {
  std::uint64_t sum = checksum64(std::as_bytes(std::span(header)), kEncoderVersion);
  for (const ModelFile& file : source_.files) {
    const auto written = std::filesystem::last_write_time(file.path).time_since_epoch().count();
    const std::int64_t stamp[2] = {file.size_bytes, written};
    sum = checksum64(std::as_bytes(std::span(stamp)), sum);
  }
  return sum;
}

void Converter::size_buffers(std::int64_t header_bytes) {
  std::int64_t row_bytes = 0;  // of the widest row, in and out
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    const TensorInfo& tensor = source_.tensors[i];
    row_bytes = std::max(
        row_bytes, tensor.row_bytes() + windlass::row_bytes(choices_[i].type, tensor.n_cols()));
  }
  // The header is in memory twice while it is made, and the table's own size is of that order.
  const std::int64_t tables = 3 * header_bytes + kMiB;
  if (options_.memory_bytes < tables + row_bytes) {
    fail(ErrorCode::kNoSpace,
         "{} of memory does not do: the header and one row take {}; give --ram {}B",
         format_size(options_.memory_bytes), format_size(tables + row_bytes), tables + row_bytes);
  }
  piece_bytes_ = std::clamp(options_.memory_bytes - tables, row_bytes, 2 * kMostPieceBytes);
}

std::int64_t Converter::padded_bytes(std::size_t index) const {
  return align_up(builder_.tensors()[index].size_bytes, builder_.alignment_bytes());
}

void Converter::convert_piece(const TensorInfo& tensor, std::int64_t first_row, std::int64_t rows,
                              Team& team) {
  const DType to = choices_[static_cast<std::size_t>(&tensor - source_.tensors.data())].type;
  std::atomic<std::int64_t> bad_row = -1;
  const EncodeRowsArgs args = {in_.data(),
                               out_.data(),
                               tensor.type,
                               to,
                               tensor.n_cols(),
                               tensor.row_bytes(),
                               row_bytes(to, tensor.n_cols()),
                               &bad_row};
  const std::int64_t grain = std::max<std::int64_t>(1, rows / (8 * team.n_threads()));
  team.run(&encode_rows, args, rows, grain);
  if (bad_row >= 0) {
    fail(ErrorCode::kBadFile,
         "{}: tensor '{}' row {} holds a weight that {} cannot: not a number, infinite, or beyond "
         "{}",
         source_.files.front().path, tensor.name, first_row + bad_row, dtype_info(to).name,
         kLargestHalf);
  }
}

void Converter::convert_tensor(std::size_t index, Team& team, ResumableFile& file,
                               const Progress& progress) {
  const TensorInfo& tensor = source_.tensors[index];
  const GgufHeaderBuilder::Tensor& target = builder_.tensors()[index];
  const std::int64_t begin = header_bytes_ + target.offset_bytes;
  const std::int64_t out_row = row_bytes(target.type, tensor.n_cols());
  const PosixFile& from = *files_[static_cast<std::size_t>(index_of(tensor.extent.file))];
  const std::int64_t n_rows = tensor.n_rows();
  const std::int64_t most_rows = std::max<std::int64_t>(
      1, std::min(piece_bytes_ / (tensor.row_bytes() + out_row), kMostPieceBytes / out_row));
  for (std::int64_t row = std::max<std::int64_t>(file.size_bytes() - begin, 0) / out_row;
       row < n_rows;) {
    const std::int64_t rows = std::min(most_rows, n_rows - row);
    const bool last = row + rows == n_rows;
    const std::int64_t padding = last ? padded_bytes(index) - target.size_bytes : 0;
    in_.resize(static_cast<std::size_t>(rows * tensor.row_bytes()));
    out_.assign(static_cast<std::size_t>(rows * out_row + padding), std::byte{0});
    from.read_at(tensor.extent.offset_bytes + row * tensor.row_bytes(), in_);
    convert_piece(tensor, row, rows, team);
    file.append(out_);
    row += rows;
    progress(file.size_bytes(), header_bytes_ + builder_.data_bytes(), "write");
  }
}

ConvertReport Converter::run(const Progress& progress) {
  check_source();
  declare();
  const std::string header = builder_.header();
  header_bytes_ = std::ssize(header);
  size_buffers(header_bytes_);
  ResumableFile file(options_.output, identity(header));
  ConvertReport report;
  report.choices = choices_;
  report.resumed_bytes = file.size_bytes();
  report.size_bytes = header_bytes_ + builder_.data_bytes();
  require_disk_space(options_.output, report.size_bytes - file.size_bytes());
  if (file.size_bytes() == 0) file.append(std::as_bytes(std::span(header)));
  Team team(options_.threads);
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    const std::int64_t end = header_bytes_ + builder_.tensors()[i].offset_bytes + padded_bytes(i);
    if (file.size_bytes() < end) convert_tensor(i, team, file, progress);
  }
  file.finish();
  return report;
}

}  // namespace

ConvertReport convert_model(const TensorTable& source, const ConvertOptions& options,
                            const Progress& progress) {
  return Converter(source, options).run(progress);
}

}  // namespace windlass
