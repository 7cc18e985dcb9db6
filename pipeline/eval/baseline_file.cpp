#include "pipeline/eval/baseline_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "src/base/check.h"
#include "src/base/checksum.h"
#include "src/base/error.h"

namespace windlass {
namespace {

constexpr std::int64_t kHeaderBytes = 4096;
constexpr std::size_t kMagicBytes = 8, kChecksumBytes = 8;
constexpr char kMagic[kMagicBytes + 1] = "WLLOGIT1";
constexpr std::int64_t kSummaryBytes = sizeof(RowSummary);
constexpr std::int64_t kScaleBytes = 2 * sizeof(float);
constexpr float kMostCode = 65535;
// Names for people: the rest of the header takes some 300 bytes.
constexpr std::size_t kMostNameBytes = 1500;
// More than any model has, and far from where their products overflow.
constexpr std::int64_t kMostVocab = std::int64_t{1} << 24, kMostTokens = std::int64_t{1} << 34;

std::string hex(std::uint64_t number) { return fmt::format("{:016x}", number); }

std::string cut(std::string name) {
  if (name.size() > kMostNameBytes) name = "..." + name.substr(name.size() - kMostNameBytes);
  return name;
}

nlohmann::json to_json(const BaselineIdentity& identity, std::uint64_t rows_checksum) {
  return {{"model", cut(identity.model)},
          {"settings", cut(identity.settings)},
          {"fingerprint", hex(identity.fingerprint)},
          {"vocabulary", hex(identity.vocabulary)},
          {"windows", hex(identity.windows)},
          {"n_vocab", identity.n_vocab},
          {"n_windows", identity.n_windows},
          {"tile_columns", identity.tile_columns},
          {"window_tokens", identity.shape.window_tokens},
          {"first_scored", identity.shape.first_scored},
          {"rows_checksum", hex(rows_checksum)}};
}

std::array<std::byte, kHeaderBytes> header_of(const BaselineIdentity& identity,
                                              std::uint64_t rows_checksum) {
  const std::string text = to_json(identity, rows_checksum)
                               .dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  std::array<std::byte, kHeaderBytes> header;
  header.fill(static_cast<std::byte>(' '));
  std::memcpy(header.data(), kMagic, kMagicBytes);
  const std::span<std::byte> body = std::span(header).subspan(kMagicBytes + kChecksumBytes);
  // Escapes may make a name six times as long; then people have to do without it.
  if (text.size() > body.size()) {
    BaselineIdentity nameless = identity;
    nameless.model = nameless.settings = "?";
    return header_of(nameless, rows_checksum);
  }
  std::memcpy(body.data(), text.data(), text.size());
  const std::uint64_t checksum = checksum64(body);
  std::memcpy(header.data() + kMagicBytes, &checksum, kChecksumBytes);
  return header;
}

std::int64_t number_of(const nlohmann::json& header, const char* key, std::int64_t most) {
  const auto number = header.at(key).get<std::int64_t>();
  if (number < 0 || number > most) throw std::out_of_range(key);
  return number;
}

std::uint64_t hash_of(const nlohmann::json& header, const char* key) {
  return std::stoull(header.at(key).get<std::string>(), nullptr, 16);
}

// Throws what json and stoull throw.
BaselineIdentity identity_of(const nlohmann::json& header) {
  BaselineIdentity identity;
  identity.model = header.at("model").get<std::string>();
  identity.settings = header.at("settings").get<std::string>();
  identity.fingerprint = hash_of(header, "fingerprint");
  identity.vocabulary = hash_of(header, "vocabulary");
  identity.windows = hash_of(header, "windows");
  identity.n_vocab = number_of(header, "n_vocab", kMostVocab);
  identity.tile_columns = number_of(header, "tile_columns", kMostVocab);
  identity.shape.window_tokens = number_of(header, "window_tokens", kMostTokens);
  identity.shape.first_scored = number_of(header, "first_scored", kMostTokens);
  if (identity.n_vocab < 1 || identity.tile_columns < 1 || identity.shape.rows() < 1) {
    throw std::out_of_range("sizes");
  }
  identity.n_windows = number_of(header, "n_windows", kMostTokens / identity.shape.rows());
  return identity;
}

}  // namespace

std::int64_t BaselineIdentity::columns_of(std::int64_t tile) const {
  return std::min(tile_columns, n_vocab - tile * tile_columns);
}
std::int64_t BaselineIdentity::row_bytes() const {
  return kSummaryBytes + n_tiles() * kScaleBytes + n_vocab * 2;
}
std::int64_t BaselineIdentity::tile_offset(std::int64_t row, std::int64_t tile) const {
  return kHeaderBytes + row * row_bytes() + kSummaryBytes + tile * (kScaleBytes + tile_columns * 2);
}
std::int64_t BaselineIdentity::file_bytes() const { return kHeaderBytes + n_rows() * row_bytes(); }

std::uint64_t logit_bits(std::span<const float> logits, std::int64_t first_column) {
  std::uint64_t sum = 0;
  auto column = static_cast<std::uint64_t>(first_column);
  for (const float logit : logits) {
    // The multiplication mixes upwards, the shift brings that down again: equal sums of other
    // logits would be chance.
    std::uint64_t word =
        (++column << 32 | std::bit_cast<std::uint32_t>(logit)) * std::uint64_t{0x9e3779b97f4a7c15};
    word ^= word >> 32;
    sum += word * std::uint64_t{0xd6e8feb86659fd93};
  }
  return sum;
}

BaselineWriter::BaselineWriter(const std::string& path, const BaselineIdentity& identity)
    : identity_(identity),
      file_(path),
      bits_(static_cast<std::size_t>(identity.shape.rows())),
      tile_(static_cast<std::size_t>(kScaleBytes + identity.columns_of(0) * 2)) {
  require_disk_space(path, identity.file_bytes());
}

void BaselineWriter::write(std::int64_t offset, std::span<const std::byte> bytes) {
  rows_checksum_ += checksum64(bytes, static_cast<std::uint64_t>(offset));
  file_.write_at(offset, bytes);
}

void BaselineWriter::add(const RowTile& tile) {
  const std::int64_t index = tile.first_column / identity_.tile_columns;
  const auto columns = static_cast<std::int64_t>(tile.logits.size());
  WINDLASS_CHECK(
      tile.first_column == index * identity_.tile_columns && columns == identity_.columns_of(index),
      tile.first_column, columns, identity_.tile_columns);
  const auto [least, most] = std::minmax_element(tile.logits.begin(), tile.logits.end());
  const float low = *least, span = *most - *least;
  const bool numbers = std::all_of(tile.logits.begin(), tile.logits.end(),
                                   [&](float logit) { return logit - low <= span; });
  if (!numbers || !std::isfinite(span)) {
    fail(ErrorCode::kBadFile, "{}: row {} has logits that are not finite", identity_.model,
         tile.row);
  }
  const float step = span / kMostCode;
  const float per_logit = step > 0 && std::isfinite(1 / step) ? 1 / step : 0;
  const float scale[2] = {low, per_logit > 0 ? step : 0};
  std::memcpy(tile_.data(), scale, kScaleBytes);
  auto* codes = tile_.data() + kScaleBytes;
  for (std::size_t i = 0; i < tile.logits.size(); ++i) {
    const float code = std::min((tile.logits[i] - low) * per_logit + 0.5F, kMostCode);
    const auto bits = static_cast<std::uint16_t>(code);
    std::memcpy(codes + 2 * i, &bits, sizeof bits);
  }
  bits_[static_cast<std::size_t>(tile.row % identity_.shape.rows())] +=
      logit_bits(tile.logits, tile.first_column);
  write(identity_.tile_offset(tile.row, index),
        std::span(tile_).first(static_cast<std::size_t>(kScaleBytes + columns * 2)));
}

void BaselineWriter::add_window(std::int64_t window, std::span<const RowScore> rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const RowSummary summary{rows[i].log_sum(), rows[i].nll(), rows[i].top_id(), bits_[i]};
    const std::int64_t row = window * identity_.shape.rows() + static_cast<std::int64_t>(i);
    write(identity_.tile_offset(row, 0) - kSummaryBytes, std::as_bytes(std::span(&summary, 1)));
    bits_[i] = 0;
  }
}

void BaselineWriter::finish() {
  file_.write_at(0, header_of(identity_, rows_checksum_));
  file_.finish();
}

std::int64_t BaselineWriter::buffer_bytes(const BaselineIdentity& identity) {
  return identity.shape.rows() * 8 + kScaleBytes + identity.columns_of(0) * 2;
}

BaselineReader::BaselineReader(const std::string& path) : file_(path) {
  std::array<std::byte, kHeaderBytes> header;
  if (file_.size_bytes() < kHeaderBytes) fail_damaged("it is shorter than its header");
  file_.read_at(0, header);
  if (std::memcmp(header.data(), kMagic, kMagicBytes) != 0)
    fail_damaged("it is not a file of saved logits");
  std::uint64_t checksum;
  std::memcpy(&checksum, header.data() + kMagicBytes, kChecksumBytes);
  const std::span<const std::byte> body = std::span(header).subspan(kMagicBytes + kChecksumBytes);
  if (checksum64(body) != checksum) fail_damaged("its header does not have its checksum");
  std::uint64_t rows_checksum = 0;
  try {
    const auto json = nlohmann::json::parse(
        std::string_view(reinterpret_cast<const char*>(body.data()), body.size()));
    identity_ = identity_of(json);
    rows_checksum = hash_of(json, "rows_checksum");
  } catch (const std::exception&) {
    fail_damaged("its header makes no sense");
  }
  if (file_.size_bytes() != identity_.file_bytes())
    fail_damaged("it has another size than it says");
  tile_.resize(static_cast<std::size_t>(kScaleBytes + identity_.columns_of(0) * 2));
  check_rows(rows_checksum);
}

void BaselineReader::fail_damaged(const char* what) const {
  fail(ErrorCode::kBadFile, "{}: {}; save the logits again with --save-logits", file_.path(), what);
}

void BaselineReader::check_rows(std::uint64_t expected) {
  std::uint64_t sum = 0;
  const auto add = [&](std::int64_t offset, std::int64_t size_bytes) {
    const auto part = std::span(tile_).first(static_cast<std::size_t>(size_bytes));
    file_.read_at(offset, part);
    sum += checksum64(part, static_cast<std::uint64_t>(offset));
  };
  tile_.resize(std::max(tile_.size(), static_cast<std::size_t>(kSummaryBytes)));
  for (std::int64_t row = 0; row < identity_.n_rows(); ++row) {
    add(identity_.tile_offset(row, 0) - kSummaryBytes, kSummaryBytes);
    for (std::int64_t tile = 0; tile < identity_.n_tiles(); ++tile) {
      add(identity_.tile_offset(row, tile), kScaleBytes + identity_.columns_of(tile) * 2);
    }
  }
  if (sum != expected) fail_damaged("its rows do not have their checksum: it is damaged");
}

RowSummary BaselineReader::summary(std::int64_t row) const {
  RowSummary summary;
  file_.read_at(identity_.tile_offset(row, 0) - kSummaryBytes,
                std::as_writable_bytes(std::span(&summary, 1)));
  return summary;
}

void BaselineReader::read(std::int64_t row, std::int64_t first_column, std::span<float> logits) {
  while (!logits.empty()) {
    const std::int64_t tile = first_column / identity_.tile_columns;
    const std::int64_t skip = first_column - tile * identity_.tile_columns;
    const auto n =
        static_cast<std::size_t>(std::min(std::ssize(logits), identity_.columns_of(tile) - skip));
    const std::span<std::byte> part =
        std::span(tile_).first(static_cast<std::size_t>(kScaleBytes + skip * 2) + n * 2);
    file_.read_at(identity_.tile_offset(row, tile), part);
    float scale[2];
    std::memcpy(scale, part.data(), kScaleBytes);
    for (std::size_t i = 0; i < n; ++i) {
      std::uint16_t code;
      std::memcpy(&code, part.data() + kScaleBytes + (static_cast<std::size_t>(skip) + i) * 2,
                  sizeof code);
      logits[i] = scale[0] + scale[1] * static_cast<float>(code);
    }
    logits = logits.subspan(n);
    first_column += static_cast<std::int64_t>(n);
  }
}

std::int64_t BaselineReader::buffer_bytes(const BaselineIdentity& identity) {
  return kScaleBytes + kSummaryBytes + identity.columns_of(0) * 2;
}

}  // namespace windlass
