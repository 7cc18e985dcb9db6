// Baseline files and the divergence from them, with logits made up here: no model.
#include "pipeline/eval/divergence.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "src/base/error.h"
#include "tests/support/catch.h"
#include "tests/support/tiny_model.h"

namespace windlass {
namespace {

using windlass::testing::read_file;
using windlass::testing::TempDir;
using windlass::testing::write_file;

constexpr std::int64_t kVocab = 1000, kWindows = 3, kRows = 5;

BaselineIdentity identity(std::int64_t tile_columns = 300) {
  BaselineIdentity identity;
  identity.model = "a \"model\"\n.gguf";
  identity.settings = "f32";
  identity.fingerprint = 0xfedcba9876543210;
  identity.vocabulary = 7;
  identity.windows = 8;
  identity.n_vocab = kVocab;
  identity.n_windows = kWindows;
  identity.tile_columns = tile_columns;
  identity.shape = {11, 5};
  return identity;
}

using Rows = std::vector<std::vector<float>>;

Rows random_logits(std::uint64_t seed, float deviation) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(-3.0F, deviation);
  Rows rows(kWindows * kRows, std::vector<float>(kVocab));
  for (auto& row : rows) {
    for (float& logit : row) logit = normal(random);
  }
  return rows;
}

// Tiles of `columns`, in an order that no model has.
void visit_tiles(const Rows& rows, std::int64_t window, std::int64_t columns,
                 const std::function<void(const RowTile&)>& visit) {
  for (std::int64_t column = (kVocab - 1) / columns * columns; column >= 0; column -= columns) {
    for (std::int64_t row = window * kRows; row < (window + 1) * kRows; ++row) {
      const auto n = static_cast<std::size_t>(std::min(columns, kVocab - column));
      const auto& logits = rows[static_cast<std::size_t>(row)];
      visit({row, column, std::span(logits).subspan(static_cast<std::size_t>(column), n)});
    }
  }
}

template <typename Sink>
void play(const Rows& rows, std::int64_t columns, Sink& sink) {
  for (std::int64_t window = 0; window < kWindows; ++window) {
    std::vector<RowScore> scores;
    for (std::int32_t i = 0; i < kRows; ++i) scores.emplace_back(i * 31);
    visit_tiles(rows, window, columns, [&](const RowTile& tile) {
      scores[static_cast<std::size_t>(tile.row % kRows)].add(tile.logits, tile.first_column);
      sink.add(tile);
    });
    sink.add_window(window, scores);
  }
}

void save(const std::string& path, const Rows& rows) {
  BaselineWriter writer(path, identity());
  play(rows, 300, writer);
  writer.finish();
}

std::vector<RowComparison> compare(const std::string& path, const Rows& rows,
                                   std::int64_t columns) {
  BaselineReader reader(path);
  DivergenceMeter meter(reader);
  play(rows, columns, meter);
  return meter.rows();
}

double log_sum(const std::vector<float>& logits) {
  const auto most = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - most);
  return most + std::log(sum);
}

double kl_of(const std::vector<float>& a, const std::vector<float>& b) {
  const double log_a = log_sum(a), log_b = log_sum(b);
  double kl = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double p = static_cast<double>(a[i]) - log_a;
    kl += std::exp(p) * (p - (static_cast<double>(b[i]) - log_b));
  }
  return kl;
}

TEST_CASE("a saved file says what it is of, and gives the logits back to 16 bits") {
  const TempDir folder;
  const std::string path = folder.file("a.logits");
  const Rows rows = random_logits(1, 4.0F);
  save(path, rows);
  BaselineReader reader(path);
  CHECK(reader.identity().model == identity().model);
  CHECK(reader.identity().settings == "f32");
  CHECK(reader.identity().fingerprint == identity().fingerprint);
  CHECK(reader.identity().windows == 8);
  CHECK(reader.identity().n_rows() == kWindows * kRows);
  CHECK(static_cast<std::int64_t>(read_file(path).size()) == identity().file_bytes());
  CHECK(identity().row_bytes() < kVocab * 21 / 10);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    std::vector<float> logits(kVocab - 37);  // across the borders of tiles
    reader.read(static_cast<std::int64_t>(row), 37, logits);
    double worst = 0;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      worst = std::max(worst, std::abs(static_cast<double>(logits[i] - rows[row][37 + i])));
    }
    CHECK(worst <= 30.0 / 131070 * 1.01);  // what 1000 draws of deviation 4 span is below 30
    const RowSummary summary = reader.summary(static_cast<std::int64_t>(row));
    CHECK(summary.log_sum == Approx(log_sum(rows[row])).epsilon(1e-6));
    CHECK(rows[row][static_cast<std::size_t>(summary.top_id)] ==
          *std::max_element(rows[row].begin(), rows[row].end()));
  }
}

TEST_CASE("the KL of each row is that of its definition, however either side is tiled") {
  const TempDir folder;
  const std::string path = folder.file("a.logits");
  const Rows a = random_logits(1, 2.0F);
  Rows b = a;
  const Rows noise = random_logits(2, 1.0F);
  const float size = GENERATE(1.0F, 0.1F, 0.01F);
  for (std::size_t row = 0; row < a.size(); ++row) {
    for (std::size_t i = 0; i < kVocab; ++i) b[row][i] += size * noise[row][i];
  }
  save(path, a);
  for (const std::int64_t columns : {kVocab, std::int64_t{300}, std::int64_t{128}}) {
    const auto rows = compare(path, b, columns);
    REQUIRE(rows.size() == a.size());
    for (std::size_t row = 0; row < rows.size(); ++row) {
      const double expected = kl_of(a[row], b[row]);
      INFO("noise " << size << ", tiles of " << columns << ", row " << row);
      CHECK(expected > 0);
      CHECK(rows[row].kl == Approx(expected).epsilon(0.01).margin(2e-8));
      const auto target = static_cast<std::size_t>(row % kRows * 31);
      CHECK(rows[row].a.nll ==
            Approx(log_sum(a[row]) - static_cast<double>(a[row][target])).epsilon(1e-6));
      CHECK(rows[row].b.nll ==
            Approx(log_sum(b[row]) - static_cast<double>(b[row][target])).epsilon(1e-6));
    }
  }
}

TEST_CASE("rows equal bit for bit have a KL of exactly 0, and any other bit makes it another") {
  const TempDir folder;
  const std::string path = folder.file("a.logits");
  const Rows a = random_logits(1, 2.0F);
  save(path, a);
  for (const auto& row : compare(path, a, 128)) {
    CHECK(row.kl == 0);
    CHECK(row.a.nll == Approx(row.b.nll).epsilon(1e-6));
    CHECK(row.a.top_id == row.b.top_id);
    CHECK(row.a.top_is_target == row.b.top_is_target);
  }
  Rows b = a;
  b[4][500] = std::nextafter(b[4][500], 10.0F);
  std::swap(b[7][1], b[7][2]);
  const auto rows = compare(path, b, 300);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    INFO(row);
    CHECK((rows[row].kl != 0) == (row == 4 || row == 7));
    CHECK(rows[row].kl < 1e-2);
  }
}

TEST_CASE("the likeliest token of side A is told right from wrong") {
  const TempDir folder;
  const std::string path = folder.file("a.logits");
  Rows a = random_logits(1, 1.0F), b = a;
  for (std::size_t row = 0; row < a.size(); ++row) {
    a[row][row % kRows * 31] = 20.0F;  // the target
    b[row][999] = 20.0F;
  }
  save(path, a);
  for (const auto& row : compare(path, b, 300)) {
    CHECK(row.a.top_is_target);
    CHECK_FALSE(row.b.top_is_target);
    CHECK(row.b.top_id == 999);
  }
}

TEST_CASE("constant logits, and logits far from 0, survive being saved") {
  const TempDir folder;
  Rows a = random_logits(1, 1.0F);
  for (float& logit : a[0]) logit = 5.0F;
  for (float& logit : a[1]) logit += 30000.0F;
  for (float& logit : a[2]) logit *= 1e-42F;
  save(folder.file("a.logits"), a);
  Rows b = a;
  for (auto& row : b) row[3] += 0.5F;
  const auto rows = compare(folder.file("a.logits"), b, 300);
  for (std::size_t row = 0; row < 3; ++row) {
    CHECK(rows[row].kl == Approx(kl_of(a[row], b[row])).epsilon(0.01).margin(1e-6));
  }
}

void check_damaged(const std::string& path) {
  try {
    const BaselineReader reader(path);
    FAIL("it was read");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kBadFile);
    CHECK_THAT(error.what(), Contains(path));
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
  }
}

TEST_CASE("a file that is cut, longer, or damaged anywhere is refused") {
  const TempDir folder;
  const std::string path = folder.file("a.logits");
  save(path, random_logits(1, 2.0F));
  const std::string whole = read_file(path);
  for (std::size_t size = 0; size < whole.size(); size += whole.size() / 37) {
    write_file(path, whole.substr(0, size));
    check_damaged(path);
  }
  write_file(path, whole + "x");
  check_damaged(path);
  for (std::size_t at = 3; at < whole.size(); at += 211) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    write_file(path, damaged);
    INFO("byte " << at);
    check_damaged(path);
  }
  // Two tiles in each other's place have the same bytes in all.
  std::string swapped = whole;
  const auto one = static_cast<std::size_t>(identity().tile_offset(1, 0));
  const auto two = static_cast<std::size_t>(identity().tile_offset(2, 0));
  for (std::size_t i = 0; i < 608; ++i) std::swap(swapped[one + i], swapped[two + i]);
  REQUIRE(swapped != whole);
  write_file(path, swapped);
  check_damaged(path);
}

TEST_CASE("a logit that is no number is not saved") {
  const TempDir folder;
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    Rows rows = random_logits(1, 2.0F);
    rows[2][40] = bad;
    CHECK_THROWS_AS(save(folder.file("a.logits"), rows), Error);
    CHECK_FALSE(std::filesystem::exists(folder.file("a.logits")));
  }
}

}  // namespace
}  // namespace windlass
