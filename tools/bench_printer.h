// The formats of `windlass bench`, those of llama-bench: a Markdown table, CSV, JSON, JSON lines,
// SQL. Rows are printed as they come.
#pragma once

#include <memory>
#include <string>

#include "tools/bench_row.h"

namespace windlass {

class BenchPrinter {
 public:
  virtual ~BenchPrinter() = default;
  virtual void row(const BenchRow& row) = 0;
  // After the last row, however many there were; what is printed is complete then.
  virtual void finish() = 0;
};

// format: a value of -o. asked: flags that differ from the defaults have a column of the table.
std::unique_ptr<BenchPrinter> make_bench_printer(const BenchFlags& asked,
                                                 const std::string& format);

}  // namespace windlass
