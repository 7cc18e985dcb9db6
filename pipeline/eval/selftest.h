// Does the answer depend on where the weights lie? The same prompt under many placements, budgets,
// threads, I/O engines, row counts and instruction sets, each against a reference run.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pipeline/engine.h"
#include "pipeline/eval/logits_check.h"

namespace windlass {

// What a case has to agree with.
enum class Expectation : std::uint8_t {
  kReference,        // it is the reference: of all, or of its instruction set
  kSameBits,         // its instruction set's reference, bit for bit
  kWithinTolerance,  // that reference within the tolerance: it computes other numbers of rows at
                     // once
};

struct SelftestCase {
  std::string name;
  EngineOptions options;  // ram_bytes nothing: auto
  Expectation expectation = Expectation::kSameBits;
  std::string skip_reason = {};  // not empty: it is only listed
};

enum class CaseResult : std::uint8_t { kSame, kDiffers, kFailed, kSkipped };

struct SelftestRow {
  SelftestCase tested;
  CaseResult result = CaseResult::kSkipped;
  std::string reason;  // why it was skipped or failed
  // Where a failing case first differs, and in which part of its run.
  std::optional<LogitDifference> difference;
  std::string phase;
  double max_abs = 0, mean_abs = 0;
  std::string io_engine;
  int threads = 0;
  std::int64_t ring_slots = 0, budget_bytes = 0, peak_bytes = 0, read_bytes = 0;
};

struct SelftestReport {
  Tolerance tolerance;
  std::int64_t prompt_tokens = 0, positions = 0;  // positions: whose logits are compared
  std::vector<SelftestRow> rows;
  std::int64_t count(CaseResult result) const;
  bool passed() const { return count(CaseResult::kDiffers) + count(CaseResult::kFailed) == 0; }
};
nlohmann::json to_json(const SelftestReport& report);
// The table's lines: a head, one of each case, a foot.
std::string format_header();
std::string format_row(const SelftestRow& row);
std::string format_summary(const SelftestReport& report);

struct SelftestInput {
  std::vector<std::int32_t> prompt;  // 2 tokens or more
  // KV, activations, micro-batch (0: 16 rows), the threads of most cases, and the most memory of
  // all (nothing: auto).
  EngineOptions base;
  std::vector<Isa> isas;  // the first is the reference; those not present are listed as skipped
};

struct SelftestHooks {
  std::function<void(const Engine&)> on_open = nullptr;       // before a case loads anything
  std::function<void(const SelftestRow&)> on_case = nullptr;  // after it
};

// The cases: for the first instruction set budgets from the least to all, threads, schedules,
// rings, I/O engines and row counts; for the others a few. They run one after the other, each in an
// engine of its own: it fills the KV cache with the prompt, decodes the last tokens one by one
// (with other blocks pinned), rolls all back and fills it again. input.base.table_bytes must hold
// selftest_bytes() besides what the caller has. Error(kInterrupted), Error(kNoSpace) where the
// least does not fit, and those of the reference runs; other errors make their case fail.
SelftestReport run_selftest(const Model& model, const SelftestInput& input, const Profile& profile,
                            const SelftestHooks& hooks);
std::int64_t selftest_bytes(const Model& model, std::int64_t prompt_tokens);

// Of a prompt of n tokens: its last ones are decoded one by one, and of those before the logits of
// the last are compared.
std::int64_t decoded_tokens(std::int64_t prompt_tokens);
std::int64_t compared_prefill_rows(std::int64_t prompt_tokens);

}  // namespace windlass
