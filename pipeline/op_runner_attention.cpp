// OpRunner's ops over the KV cache: those of a step's sequences run side by side, for of a token
// after a few others each takes little more than a region of the team costs.
#include <algorithm>
#include <array>

#include "pipeline/job_batch.h"
#include "pipeline/op_runner.h"

namespace windlass {

namespace {

// What both ops know of the cache.
template <typename Args>
void take_shape(const KvShape& shape, Args* args) {
  args->kv_heads = shape.n_kv_heads;
  args->key_dim = shape.key_dim;
  args->value_dim = shape.value_dim;
  args->page_tokens = kKvPageTokens;
  args->types = shape.types;
  args->values_in_keys = shape.values_in_keys;
}

}  // namespace

void OpRunner::kv_append(const GraphOp& op, const StepInput& step) {
  JobBatch<KvAppendArgs> appends(parts_.team);
  std::int64_t row = 0;
  for (const Span& span : step.spans) {
    KvAppendArgs args;
    args.k = vectors(op.in, row);
    args.v = vectors(op.in2, row);
    args.pages = span.kv->pages(op.layer);
    args.first_slot = span.first_position;
    args.tokens = static_cast<std::int64_t>(span.ids.size());
    take_shape(span.kv->shape(), &args);
    if (appends.full()) appends.run();
    appends.add(parts_.ops.kv_append, args);
    row += args.tokens;
  }
  appends.run();
}

AttentionArgs OpRunner::attention_args(const GraphOp& op, const Span& span,
                                       std::int64_t row) const {
  AttentionArgs args;
  args.q = vectors(op.in, row);
  args.out = floats(op.out) + row * stride(op.out);
  args.positions = positions() + row;
  args.tokens = static_cast<std::int64_t>(span.ids.size());
  args.heads = op.in.vectors;
  take_shape(span.kv->shape(), &args);
  args.window = op.window_tokens;
  args.scale = op.scale;
  args.soft_cap = op.soft_cap;
  args.exact_queries = parts_.exact;
  return args;
}

namespace {

// Sequences' attention, and what merges the partials of those that are split.
class AttentionBatch {
 public:
  // Partials go to the `room` floats at `partials`.
  AttentionBatch(Team& team, const OpTable& ops, float* partials, std::int64_t room)
      : ops_(ops), attentions_(team), merges_(team), partials_(partials), room_(room) {}

  // Splits of the context side by side if `split`, where there is room for partials: the bits are
  // the same.
  void add(AttentionArgs args, const KvSegment& segment, bool split) {
    const std::int64_t splits = splits_of(segment.n_keys), rows = args.tokens * args.heads;
    const std::int64_t floats = splits * rows * partial_floats(args.value_dim);
    split = split && splits > 1 && floats <= room_;
    if (attentions_.full() || (split && used_ + floats > room_)) run();
    args.segments = &(segments_[attentions_.size()] = segment);
    args.n_segments = 1;
    if (split) {
      args.partials = partials_ + used_;
      used_ += floats;
      merges_.add(ops_.merge_partials, {args.partials, args.out, splits, rows, args.value_dim});
    }
    attentions_.add(ops_.attention, args);
  }
  void run() {
    attentions_.run();
    merges_.run();
    used_ = 0;
  }

 private:
  const OpTable& ops_;
  JobBatch<AttentionArgs> attentions_;
  JobBatch<MergePartialsArgs> merges_;
  std::array<KvSegment, Team::kMostJobs> segments_;
  float* partials_;
  std::int64_t room_, used_ = 0;
};

}  // namespace

// Splits of a sequence's context side by side where a (token, kv head) pair of it would take a
// large part of what a thread has in the region: merging costs.
void OpRunner::attention(const GraphOp& op, const StepInput& step) {
  constexpr std::int64_t kEnoughItems = 8;  // for each thread
  const std::int64_t threads = parts_.team.n_threads();
  const auto keys_of = [&](const Span& span) {
    const std::int64_t keys = span.first_position + std::ssize(span.ids);
    return op.window_tokens > 0 ? std::min(keys, op.window_tokens) : keys;
  };
  std::int64_t work = 0;  // keys that a kv head's queries of the step see
  for (const Span& span : step.spans) work += std::ssize(span.ids) * keys_of(span);
  const std::int64_t regions =
      (std::ssize(step.spans) + std::int64_t{Team::kMostJobs} - 1) / std::int64_t{Team::kMostJobs};

  AttentionBatch batch(parts_.team, parts_.ops, table<float>(layout_->partials_offset),
                       layout_->partials_bytes / static_cast<std::int64_t>(sizeof(float)));
  std::int64_t row = 0;
  for (const Span& span : step.spans) {
    const AttentionArgs args = attention_args(op, span, row);
    const KvSegment segment{span.kv->pages(op.layer), span.first_position + args.tokens, 0, true};
    const bool few = work / regions * args.kv_heads < kEnoughItems * threads * keys_of(span);
    batch.add(args, segment, threads > 1 && few);
    row += args.tokens;
  }
  batch.run();
}

}  // namespace windlass
