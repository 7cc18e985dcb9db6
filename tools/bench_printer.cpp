#include "tools/bench_printer.h"

#include <fmt/format.h>

#include <cstdlib>
#include <functional>
#include <utility>

#include "src/base/error.h"
#include "src/base/units.h"
#include "tools/files.h"
#include "tools/json_output.h"

namespace windlass {
namespace {

// A field as text, unquoted.
std::string plain(const nlohmann::ordered_json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::string dumped(const BenchRow& row, int indent) {
  return row.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

// The fields that are one value each.
std::vector<std::string> scalar_names(const BenchRow& row) {
  std::vector<std::string> names;
  for (const auto& [name, value] : row.items()) {
    if (!value.is_array()) names.push_back(name);
  }
  return names;
}

// `text` with each `mark` doubled, between two of them.
std::string quoted(const std::string& text, char mark) {
  std::string out(1, mark);
  for (const char c : text) out.append(c == mark ? 2 : 1, c);
  return out + mark;
}

class JsonPrinter : public BenchPrinter {
 public:
  void row(const BenchRow& row) override {
    print(fmt::format("{}{}", first_ ? "[\n" : ",\n", indented(dumped(row, 2))));
    first_ = false;
  }
  void finish() override { print(first_ ? "[]\n" : "\n]\n"); }

 private:
  static std::string indented(const std::string& text) {
    std::string out = "  ";
    for (const char c : text) {
      out += c;
      if (c == '\n') out += "  ";
    }
    return out;
  }
  bool first_ = true;
};

class JsonLinesPrinter : public BenchPrinter {
 public:
  void row(const BenchRow& row) override { print(dumped(row, -1) + "\n"); }
  void finish() override {}
};

class CsvPrinter : public BenchPrinter {
 public:
  void row(const BenchRow& row) override {
    const std::vector<std::string> names = scalar_names(row);
    if (std::exchange(first_, false)) print(fmt::format("{}\n", fmt::join(names, ",")));
    std::vector<std::string> values;
    for (const std::string& name : names) values.push_back(quoted(plain(row[name]), '"'));
    print(fmt::format("{}\n", fmt::join(values, ",")));
  }
  void finish() override {}

 private:
  bool first_ = true;
};

// llama-bench's table: its fields first, so that both may be kept in one where ours are added.
class SqlPrinter : public BenchPrinter {
 public:
  void row(const BenchRow& row) override {
    const std::vector<std::string> names = scalar_names(row);
    if (std::exchange(first_, false)) print_table(row, names);
    std::vector<std::string> values;
    for (const std::string& name : names) values.push_back(quoted(plain(row[name]), '\''));
    print(fmt::format("INSERT INTO llama_bench ({}) VALUES ({});\n", fmt::join(names, ", "),
                      fmt::join(values, ", ")));
  }
  void finish() override {}

 private:
  static void print_table(const BenchRow& row, const std::vector<std::string>& names) {
    std::vector<std::string> columns;
    for (const std::string& name : names) {
      const auto& value = row[name];
      columns.push_back(fmt::format("  {} {}", name,
                                    value.is_string()         ? "TEXT"
                                    : value.is_number_float() ? "REAL"
                                                              : "INTEGER"));
    }
    print(fmt::format("CREATE TABLE IF NOT EXISTS llama_bench (\n{}\n);\n\n",
                      fmt::join(columns, ",\n")));
  }
  bool first_ = true;
};

struct Column {
  std::string title;
  int width;  // negative: to the left
  std::function<std::string(const BenchRow&)> text;
};

// Characters, not bytes, count for the width.
std::string padded(const std::string& text, int width) {
  std::size_t characters = 0;
  for (const char c : text) characters += (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  const auto wanted = static_cast<std::size_t>(std::abs(width));
  const std::string fill(wanted > characters ? wanted - characters : 0, ' ');
  return width < 0 ? text + fill : fill + text;
}

std::string percent(const nlohmann::ordered_json& share) {
  return fmt::format("{:.0f} %", 100 * share.get<double>());
}

Column field(const std::string& name, const std::string& title, int width) {
  return {title, width, [name](const BenchRow& row) { return plain(row[name]); }};
}

std::string size_text(std::int64_t bytes) {
  const auto size = static_cast<double>(bytes);
  return bytes < kGiB ? fmt::format("{:.2f} MiB", size / static_cast<double>(kMiB))
                      : fmt::format("{:.2f} GiB", size / static_cast<double>(kGiB));
}

std::string weights_text(std::int64_t weights) {
  const auto n = static_cast<double>(weights);
  return n < 1e9 ? fmt::format("{:.2f} M", n / 1e6) : fmt::format("{:.2f} B", n / 1e9);
}

std::vector<Column> model_columns() {
  return {field("model_type", "model", -30),
          {"size", 10, [](const BenchRow& row) { return size_text(row["model_size"]); }},
          {"params", 10, [](const BenchRow& row) { return weights_text(row["model_n_params"]); }},
          field("backends", "backend", -10),
          field("n_threads", "threads", 7)};
}

// Where the user asked for something else than the default.
std::vector<Column> setting_columns(const BenchFlags& asked) {
  const BenchFlags defaults;
  std::vector<Column> columns;
  if (asked.batch_tokens != defaults.batch_tokens)
    columns.push_back(field("n_batch", "n_batch", 7));
  if (asked.micro_batch_tokens != defaults.micro_batch_tokens)
    columns.push_back(field("n_ubatch", "n_ubatch", 8));
  if (asked.type_k != defaults.type_k) columns.push_back(field("type_k", "type_k", 6));
  if (asked.type_v != defaults.type_v) columns.push_back(field("type_v", "type_v", 6));
  return columns;
}

std::vector<Column> result_columns() {
  return {{"test", 15, bench_test_name},
          {"t/s", 20,
           [](const BenchRow& row) {
             return fmt::format("{:.2f} ± {:.2f}", row["avg_ts"].get<double>(),
                                row["stddev_ts"].get<double>());
           }},
          {"predicted", 9,
           [](const BenchRow& row) {
             return fmt::format("{:.2f}", row["predicted_ts"].get<double>());
           }},
          {"GB/s", 7,
           [](const BenchRow& row) { return fmt::format("{:.2f}", row["gb_s"].get<double>()); }},
          {"of DRAM", 7, [](const BenchRow& row) { return percent(row["dram_share"]); }},
          {"GOP/s", 8,
           [](const BenchRow& row) { return fmt::format("{:.1f}", row["gop_s"].get<double>()); }},
          {"of peak", 7, [](const BenchRow& row) { return percent(row["peak_share"]); }},
          {"outside kernels", 15,
           [](const BenchRow& row) {
             return fmt::format("{:.1f} %", 100 * row["outside_kernels"].get<double>());
           }},
          {"regions", 7,
           [](const BenchRow& row) {
             return fmt::format("{:.1f} %", 100 * row["region_overhead"].get<double>());
           }},
          {"disk/step", 10, [](const BenchRow& row) {
             const std::int64_t bytes = row["disk_bytes_per_step"];
             return bytes == 0 ? std::string("-") : size_text(bytes);
           }}};
}

class MarkdownPrinter : public BenchPrinter {
 public:
  explicit MarkdownPrinter(const BenchFlags& asked) : columns_(model_columns()) {
    for (std::vector<Column> more : {setting_columns(asked), result_columns()})
      columns_.insert(columns_.end(), more.begin(), more.end());
  }
  void row(const BenchRow& row) override {
    if (std::exchange(first_, false)) print_titles();
    std::string line = "|";
    for (const Column& column : columns_)
      line += fmt::format(" {} |", padded(column.text(row), column.width));
    print(line + "\n");
  }
  void finish() override {
    if (!first_) print(fmt::format("\nbuild: {}\n", build_text()));
  }

 private:
  void print_titles() const {
    std::string titles = "|", rule = "|";
    for (const Column& column : columns_) {
      titles += fmt::format(" {} |", padded(column.title, column.width));
      rule +=
          fmt::format(" {:->{}}{} |", "", std::abs(column.width) - 1, column.width > 0 ? ':' : '-');
    }
    print(titles + "\n" + rule + "\n");
  }
  std::vector<Column> columns_;
  bool first_ = true;
};

}  // namespace

std::unique_ptr<BenchPrinter> make_bench_printer(const BenchFlags& asked,
                                                 const std::string& format) {
  if (format == "json") return std::make_unique<JsonPrinter>();
  if (format == "jsonl") return std::make_unique<JsonLinesPrinter>();
  if (format == "csv") return std::make_unique<CsvPrinter>();
  if (format == "sql") return std::make_unique<SqlPrinter>();
  return std::make_unique<MarkdownPrinter>(asked);
}

}  // namespace windlass
