#include "pipeline/convert.h"

#include <algorithm>
#include <atomic>
#include <filesystem>

#include "pipeline/encode_rows.h"
#include "pipeline/stored_rows.h"
#include "src/base/checksum.h"
#include "src/base/error.h"
#include "src/base/output_target.h"
#include "src/base/resumable_file.h"
#include "src/base/units.h"
#include "src/format/gguf_header_builder.h"
#include "src/model/gguf_layout.h"
#include "src/model/gguf_settings.h"
#include "src/text/gguf_vocabulary.h"

namespace windlass {
namespace {

// Pieces of this size keep the disk and the team busy; a smaller budget makes smaller ones.
constexpr std::int64_t kMostPieceBytes = 16 * kMiB;
// Changes whenever the encoders do, so that no file is half of the one and half of the other.
constexpr std::uint64_t kEncoderVersion = 1;

class Converter {
 public:
  Converter(const TensorTable& source, const ConvertOptions& options)
      : source_(source), options_(options), layout_(gguf_layout(source)), reader_(source) {}
  ConvertReport run(const Progress& progress);

 private:
  void check_source() const;
  void choose_types();
  void declare_metadata();
  void declare_tensors();
  std::uint64_t identity(const std::string& header) const;
  void size_buffers(std::int64_t header_bytes);
  // From the first row that is not yet in the file on.
  void convert_tensor(std::size_t index, Team& team, ResumableFile& file, const Progress& progress);
  void convert_piece(std::size_t index, std::int64_t first_row, std::int64_t rows, Team& team);
  std::int64_t padded_bytes(std::size_t index) const;
  std::int64_t out_row_bytes(std::size_t index) const {
    return row_bytes(types_[index], layout_[index].width);
  }

  const TensorTable& source_;
  const ConvertOptions& options_;
  const std::vector<GgufTensor> layout_;
  const StoredRowReader reader_;
  std::vector<DType> types_;
  ConvertReport report_;
  GgufHeaderBuilder builder_;
  std::int64_t header_bytes_ = 0, piece_bytes_ = 0;
  StoredRows in_;
  std::vector<std::byte> out_;
};

void Converter::check_source() const {
  for (const TensorInfo& tensor : source_.tensors) {
    if (tensor.type == DType::kF32 || tensor.type == DType::kF16 || tensor.type == DType::kBF16) {
      continue;
    }
    fail(ErrorCode::kUnsupported,
         "{}: tensor '{}' has the type {}: only F32, F16 and BF16 can be converted; start from the "
         "model's float file",
         source_.path(), tensor.name, dtype_info(tensor.type).name);
  }
}

void Converter::choose_types() {
  const bool tied = source_.find("output.weight") == kNoTensor;
  for (const GgufTensor& tensor : layout_) {
    const bool is_output = tensor.name == (tied ? "token_embd.weight" : "output.weight");
    const TypeChoice choice = choose_type(tensor.name, tensor.shape, is_output, options_.types);
    types_.push_back(choice.type);
    report_.tensors.push_back({tensor.name, tensor.shape.back(), choice});
  }
}

// All metadata of a GGUF, but for what describes its own storage; what a folder's stand for.
void Converter::declare_metadata() {
  const auto copied = [](const std::string& key) {
    return !key.starts_with("split.") && key != "general.file_type" &&
           key != "general.quantization_version" && key != "general.alignment";
  };
  if (source_.folder.empty()) {
    for (const auto& [key, value] : source_.metadata) {
      if (copied(key)) builder_.copy_metadata(source_, key);
    }
    for (const auto& [key, value] : source_.arrays) builder_.copy_metadata(source_, key);
  } else {
    add_gguf_settings(source_, layout_, builder_);
    const TensorInfo& embedding = source_.at(source_.find("token_embd.weight"));
    report_.notes = add_gguf_vocabulary(source_.folder, embedding.n_rows(), builder_);
  }
  builder_.add_metadata_u32("general.file_type", gguf_file_type(options_.types.matrices));
  builder_.add_metadata_u32("general.quantization_version", 2);
}

void Converter::declare_tensors() {
  for (std::size_t i = 0; i < layout_.size(); ++i) {
    builder_.add_tensor(layout_[i].name, types_[i], layout_[i].shape);
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
  for (const GgufTensor& tensor : layout_) {
    sum = checksum64(std::as_bytes(std::span(tensor.values)), sum);
  }
  return sum;
}

void Converter::size_buffers(std::int64_t header_bytes) {
  std::int64_t row_bytes = 0;  // of the widest row, in and out
  for (std::size_t i = 0; i < layout_.size(); ++i) {
    row_bytes = std::max(row_bytes, reader_.row_bytes(layout_[i]) + out_row_bytes(i));
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

void Converter::convert_piece(std::size_t index, std::int64_t first_row, std::int64_t rows,
                              Team& team) {
  const GgufTensor& tensor = layout_[index];
  reader_.read(tensor, first_row, rows, in_);
  std::atomic<std::int64_t> bad_row = -1;
  const EncodeRowsArgs args = {&in_,         out_.data(),          types_[index],
                               tensor.width, out_row_bytes(index), tensor.offset,
                               &bad_row};
  const std::int64_t grain = std::max<std::int64_t>(1, rows / (std::int64_t{8} * team.n_threads()));
  team.run(&encode_rows, args, rows, grain);
  if (bad_row >= 0) {
    fail(ErrorCode::kBadFile,
         "{}: tensor '{}' row {} holds a weight that {} cannot: not a number, infinite, or beyond "
         "{}",
         source_.path(), tensor.name, first_row + bad_row, dtype_info(types_[index]).name,
         kLargestHalf);
  }
}

void Converter::convert_tensor(std::size_t index, Team& team, ResumableFile& file,
                               const Progress& progress) {
  const GgufTensor& tensor = layout_[index];
  const GgufHeaderBuilder::Tensor& target = builder_.tensors()[index];
  const std::int64_t begin = header_bytes_ + target.offset_bytes;
  const std::int64_t out_row = out_row_bytes(index);
  const std::int64_t most_rows = std::max<std::int64_t>(
      1, std::min(piece_bytes_ / (reader_.row_bytes(tensor) + out_row), kMostPieceBytes / out_row));
  for (std::int64_t row = std::max<std::int64_t>(file.size_bytes() - begin, 0) / out_row;
       row < tensor.rows;) {
    const std::int64_t rows = std::min(most_rows, tensor.rows - row);
    const bool last = row + rows == tensor.rows;
    const std::int64_t padding = last ? padded_bytes(index) - target.size_bytes : 0;
    out_.assign(static_cast<std::size_t>(rows * out_row + padding), std::byte{0});
    convert_piece(index, row, rows, team);
    file.append(out_);
    row += rows;
    progress(file.size_bytes(), header_bytes_ + builder_.data_bytes(), "write");
  }
}

ConvertReport Converter::run(const Progress& progress) {
  check_source();
  choose_types();
  declare_metadata();
  declare_tensors();
  const std::string header = builder_.header();
  header_bytes_ = std::ssize(header);
  size_buffers(header_bytes_);
  ResumableFile file(options_.output, identity(header));
  report_.resumed_bytes = file.size_bytes();
  report_.size_bytes = header_bytes_ + builder_.data_bytes();
  require_disk_space(options_.output, report_.size_bytes - file.size_bytes());
  if (file.size_bytes() == 0) file.append(std::as_bytes(std::span(header)));
  Team team(options_.threads);
  for (std::size_t i = 0; i < layout_.size(); ++i) {
    const std::int64_t end = header_bytes_ + builder_.tensors()[i].offset_bytes + padded_bytes(i);
    if (file.size_bytes() < end) convert_tensor(i, team, file, progress);
  }
  file.finish();
  return std::move(report_);
}

}  // namespace

ConvertReport convert_model(const TensorTable& source, const ConvertOptions& options,
                            const Progress& progress) {
  return Converter(source, options).run(progress);
}

}  // namespace windlass
