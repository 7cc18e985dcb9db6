#include "pipeline/eval/selftest.h"

#include <algorithm>
#include <cmath>

#include "pipeline/eval/selftest_cases.h"
#include "src/base/check.h"
#include "src/base/error.h"

namespace windlass {
namespace {

constexpr std::int64_t kDefaultRows = 16;  // of a micro-batch: a prompt of 40 takes three steps
constexpr std::int64_t kMostDecoded = 6, kMostCompared = 10;

enum class Part : std::uint8_t { kPrefill, kDecode, kSecondPrefill };
const char* part_name(Part part) {
  switch (part) {
    case Part::kPrefill:
      return "prefill";
    case Part::kDecode:
      return "decode";
    case Part::kSecondPrefill:
      return "second prefill";
  }
  return "";
}

// What a run hands on of each part: rows are counted as the tables have them.
using PartSink = std::function<void(Part part, const LogitsTile& tile, std::int64_t first_row)>;

void play_prompt(Engine& engine, std::span<const std::int32_t> prompt, const PartSink& sink) {
  const auto n_tokens = static_cast<std::int64_t>(prompt.size());
  const std::int64_t n_decoded = decoded_tokens(n_tokens);
  const std::int64_t n_prefill = n_tokens - n_decoded;
  const std::int64_t n_rows = compared_prefill_rows(n_tokens);
  const std::int64_t first_position = n_prefill - n_rows;
  const auto pass_on = [&](Part part) {
    return [&sink, part, first_position](const LogitsTile& tile) {
      sink(part, tile, tile.first_position - first_position);
    };
  };
  const auto prefill = prompt.first(static_cast<std::size_t>(n_prefill));
  engine.feed(prefill, n_rows, pass_on(Part::kPrefill), {});
  for (std::int64_t i = n_prefill; i < n_tokens; ++i) {
    engine.feed(prompt.subspan(static_cast<std::size_t>(i), 1), 1, pass_on(Part::kDecode), {});
  }
  engine.roll_back(0);
  engine.feed(prefill, n_rows, pass_on(Part::kSecondPrefill), {});
}

// What play_prompt needs of the engine.
SelftestInput shaped(SelftestInput input) {
  EngineOptions& base = input.base;
  base.context_tokens = base.max_rows = static_cast<std::int64_t>(input.prompt.size());
  base.logits_rows = compared_prefill_rows(base.context_tokens);
  if (base.micro_batch_tokens == 0) base.micro_batch_tokens = kDefaultRows;
  return input;
}

std::int64_t n_compared(std::int64_t prompt_tokens) {
  return compared_prefill_rows(prompt_tokens) + decoded_tokens(prompt_tokens);
}

void fill_receipt(SelftestRow& row, const Receipt& receipt) {
  row.io_engine = receipt.io_engine;
  row.threads = receipt.threads;
  row.read_bytes =
      receipt.load_bytes + receipt.prefill.disk_to_host.bytes + receipt.decode.disk_to_host.bytes;
  for (const TierReceipt& tier : receipt.tiers) {
    if (tier.tier != Tier::kHost) continue;
    row.budget_bytes = tier.budget_bytes;
    row.peak_bytes = tier.peak_bytes;
  }
}

class Selftest {
 public:
  Selftest(const Model& model, const SelftestInput& input, const Profile& profile,
           const SelftestHooks& hooks)
      : model_(model),
        input_(shaped(input)),
        profile_(profile),
        hooks_(hooks),
        n_tokens_(static_cast<std::int64_t>(input.prompt.size())),
        reference_(n_compared(n_tokens_), model.spec.n_vocab),
        isa_reference_(n_compared(n_tokens_), model.spec.n_vocab) {}

  SelftestReport run() {
    report_.prompt_tokens = n_tokens_;
    report_.positions = n_compared(n_tokens_);
    for (const SelftestCase& tested : make_selftest_cases(model_, input_, profile_)) {
      report_.rows.push_back(run_case(tested));
      if (hooks_.on_case) hooks_.on_case(report_.rows.back());
    }
    return std::move(report_);
  }

 private:
  SelftestRow run_case(const SelftestCase& tested) {
    SelftestRow row;
    row.tested = tested;
    row.reason = tested.skip_reason;
    if (!row.reason.empty()) return row;
    try {
      row.result = CaseResult::kSame;
      play(row);
    } catch (const Error& error) {
      const bool is_reference = tested.expectation == Expectation::kReference;
      if (is_reference || error.code() == ErrorCode::kInterrupted) throw;
      // A ring or a micro-batch of the case's own may need more than the budget.
      const bool no_room =
          error.code() == ErrorCode::kNoSpace &&
          (tested.options.ring_slots > 0 || tested.expectation == Expectation::kWithinTolerance);
      row.result = no_room ? CaseResult::kSkipped : CaseResult::kFailed;
      row.reason = error.what();
    }
    return row;
  }

  void play(SelftestRow& row) {
    Engine engine(model_, row.tested.options, profile_);
    if (hooks_.on_open) hooks_.on_open(engine);
    row.ring_slots = engine.ring_slots();
    if (row.tested.expectation == Expectation::kReference) {
      play_reference(engine, row);
    } else {
      play_checked(engine, row);
    }
    fill_receipt(row, engine.receipt());
  }

  // The first two parts are kept, the third has to repeat the first.
  void play_reference(Engine& engine, SelftestRow& row) {
    LogitsCheck repeated(isa_reference_);
    play_prompt(engine, input_.prompt, [&](Part part, const LogitsTile& tile, std::int64_t first) {
      if (part == Part::kSecondPrefill) {
        repeated.add(tile, first);
      } else {
        isa_reference_.keep(tile, first);
      }
    });
    if (!std::isfinite(isa_reference_.standard_deviation())) {
      fail(ErrorCode::kBadFile,
           "{}: its logits are not finite: no placement can be checked by them", model_.path);
    }
    judge(row, Part::kSecondPrefill, repeated, Expectation::kSameBits);
    if (!has_reference_) {
      has_reference_ = true;
      reference_ = isa_reference_;
      report_.tolerance = tolerance_for(model_, row.tested.options, reference_);
      return;
    }
    LogitsCheck other_isa(reference_);
    for (std::int64_t i = 0; i < isa_reference_.n_rows(); ++i) {
      other_isa.add({first_position() + i, 1, 0, isa_reference_.n_vocab(), isa_reference_.row(i),
                     isa_reference_.n_vocab()},
                    i);
    }
    judge(row, Part::kPrefill, other_isa, Expectation::kWithinTolerance);
  }

  void play_checked(Engine& engine, SelftestRow& row) {
    LogitsCheck check(isa_reference_), repeated(isa_reference_);
    play_prompt(engine, input_.prompt, [&](Part part, const LogitsTile& tile, std::int64_t first) {
      (part == Part::kSecondPrefill ? repeated : check).add(tile, first);
    });
    judge(row, Part::kPrefill, check, row.tested.expectation);
    judge(row, Part::kSecondPrefill, repeated, row.tested.expectation);
  }

  // The first part that differs stays. `part` kPrefill stands for decode too.
  void judge(SelftestRow& row, Part part, const LogitsCheck& check, Expectation expectation) const {
    row.max_abs = larger(row.max_abs, check.max_abs());
    row.mean_abs = larger(row.mean_abs, check.mean_abs());
    if (row.result != CaseResult::kSame) return;
    row.difference = expectation == Expectation::kSameBits
                         ? check.first_difference()
                         : check.beyond(tolerance_for(model_, row.tested.options, reference_));
    if (!row.difference) return;
    row.result = CaseResult::kDiffers;
    const bool decoded = row.difference->position >= n_tokens_ - decoded_tokens(n_tokens_);
    row.phase = part_name(decoded ? Part::kDecode : part);
  }
  // NaN is the largest.
  static double larger(double a, double b) { return b <= a || std::isnan(a) ? a : b; }
  std::int64_t first_position() const { return n_tokens_ - n_compared(n_tokens_); }

  const Model& model_;
  const SelftestInput input_;
  const Profile& profile_;
  const SelftestHooks& hooks_;
  const std::int64_t n_tokens_;
  LogitsTable reference_, isa_reference_;
  bool has_reference_ = false;
  SelftestReport report_;
};

}  // namespace

std::int64_t decoded_tokens(std::int64_t prompt_tokens) {
  return std::min(prompt_tokens / 4, kMostDecoded);
}

std::int64_t compared_prefill_rows(std::int64_t prompt_tokens) {
  return std::min(prompt_tokens - decoded_tokens(prompt_tokens), kMostCompared);
}

std::int64_t selftest_bytes(const Model& model, std::int64_t prompt_tokens) {
  return 2 * n_compared(prompt_tokens) * model.spec.n_vocab *
         static_cast<std::int64_t>(sizeof(float));
}

SelftestReport run_selftest(const Model& model, const SelftestInput& input, const Profile& profile,
                            const SelftestHooks& hooks) {
  WINDLASS_CHECK(input.prompt.size() >= 2 && !input.isas.empty(), input.prompt.size());
  return Selftest(model, input, profile, hooks).run();
}

}  // namespace windlass
