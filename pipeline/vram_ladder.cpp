#include "pipeline/vram_ladder.h"

#include <algorithm>
#include <variant>

#include "pipeline/vram_memory.h"
#include "src/base/error.h"
#include "src/base/units.h"

namespace windlass {
namespace {

constexpr std::int64_t kLeastMicroBatch = 16;

class Ladder {
 public:
  Ladder(const Model& model, EngineOptions options, const Profile& profile, std::int64_t ram_bytes)
      : model_(model), options_(std::move(options)), profile_(profile), ram_bytes_(ram_bytes) {}

  ReservedPlan climb_down() {
    SessionPlan plan = make_session_plan(model_, options_, profile_, ram_bytes_);
    while (plan.placement().vram.in_use()) {
      auto reserved = options_.device->reserve(VramMemory::size_bytes(plan.placement().vram));
      if (auto* arena = std::get_if<DeviceArena>(&reserved)) {
        return {std::move(plan), std::move(*arena), std::move(notes_)};
      }
      plan = plan_with_less(std::get<NoMemory>(reserved), plan.micro_batch_tokens);
    }
    return {std::move(plan), std::nullopt, std::move(notes_)};
  }

 private:
  SessionPlan plan_with_less(const NoMemory& refused, std::int64_t micro_batch_tokens) {
    // What a device says is free can be in pieces: each refusal takes a sixteenth at least.
    const std::int64_t less = options_.vram_bytes - options_.vram_bytes / 16;
    const std::int64_t free =
        refused.available_bytes > 0 ? std::min(refused.available_bytes, less) : less;
    options_.vram_bytes = align_down(free, kMiB);
    notes_.push_back(fmt::format("VRAM: {}; planned again with {}", refused.message,
                                 format_size(options_.vram_bytes)));
    for (std::int64_t rows = micro_batch_tokens / 2;; rows /= 2) {
      if (options_.vram_bytes == 0) break;
      try {
        return make_session_plan(model_, options_, profile_, ram_bytes_);
      } catch (const Error& error) {
        if (error.code() != ErrorCode::kNoSpace) throw;
      }
      if (rows < std::max(kLeastMicroBatch, options_.n_sequences)) break;
      options_.micro_batch_tokens = rows;
      notes_.push_back(fmt::format(
          "VRAM: micro-batches of {} rows, where {} were planned; logits may differ in their last "
          "bits",
          rows, micro_batch_tokens));
    }
    notes_.push_back("VRAM: too little is left for the GPU to be of use; the CPU computes alone");
    options_.vram_bytes = 0;
    return make_session_plan(model_, options_, profile_, ram_bytes_);
  }

  const Model& model_;
  EngineOptions options_;
  const Profile& profile_;
  std::int64_t ram_bytes_;
  std::vector<std::string> notes_;
};

}  // namespace

ReservedPlan reserve_plan(const Model& model, EngineOptions options, const Profile& profile,
                          std::int64_t ram_bytes) {
  if (options.vram_bytes > 0 && (options.device == nullptr || options.device_ops == nullptr)) {
    fail(ErrorCode::kUnsupported, "--vram {}: no GPU is open to compute on; use --vram 0",
         format_size(options.vram_bytes));
  }
  return Ladder(model, std::move(options), profile, ram_bytes).climb_down();
}

}  // namespace windlass
