// OpBinder's ops over the KV cache: those of a step's sequences run side by side, for of a token
// after a few others each takes little more than a region of the team costs.
#include <algorithm>
#include <array>

#include "pipeline/op_binder.h"

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

template <typename Backend>
void OpBinder<Backend>::kv_append(const GraphOp& op, const StepInput& step) {
  JobBatch<Backend, KvAppendArgs> appends(backend_);
  std::int64_t row = 0;
  for (std::size_t i = 0; i < step.spans.size(); ++i) {
    const Span& span = step.spans[i];
    KvAppendArgs args;
    args.k = vectors(op.in, row);
    args.v = vectors(op.in2, row);
    args.pages = backend_.pages(step, i, op.layer);
    args.first_slot = span.first_position;
    args.tokens = static_cast<std::int64_t>(span.ids.size());
    take_shape(span.kv->shape(), &args);
    if (appends.full()) appends.run();
    appends.add(backend_.ops.kv_append, args);
    row += args.tokens;
  }
  appends.run();
}

template <typename Backend>
AttentionArgs OpBinder<Backend>::attention_args(const GraphOp& op, const Span& span,
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
template <typename Backend>
class AttentionBatch {
 public:
  // Partials go to the `room` floats at `partials`.
  AttentionBatch(const Backend& backend, float* partials, std::int64_t room)
      : backend_(backend),
        attentions_(backend),
        merges_(backend),
        partials_(partials),
        room_(room) {}

  // Of a span of the step and a layer. Splits of the context side by side if `split`, where there
  // is room for partials: the bits are the same.
  void add(AttentionArgs args, const KvSegment& segment, std::size_t span, std::int64_t layer,
           bool split) {
    const std::int64_t splits = splits_of(segment.n_keys), rows = args.tokens * args.heads;
    const std::int64_t floats = splits * rows * partial_floats(args.value_dim);
    split = split && splits > 1 && floats <= room_;
    if (attentions_.full() || (split && used_ + floats > room_)) run();
    const KvSegment& filled = segments_[attentions_.size()] = segment;
    args.segments = backend_.segment(span, layer, filled);
    args.n_segments = 1;
    if (split) {
      args.partials = partials_ + used_;
      used_ += floats;
      merges_.add(backend_.ops.merge_partials,
                  {args.partials, args.out, splits, rows, args.value_dim});
    }
    // The segments may be in memory of the device.
    attentions_.add(backend_.ops.attention, args, args.kv_heads * (split ? splits : args.tokens));
  }
  void run() {
    attentions_.run();
    merges_.run();
    used_ = 0;
  }

 private:
  const Backend& backend_;
  JobBatch<Backend, AttentionArgs> attentions_;
  JobBatch<Backend, MergePartialsArgs> merges_;
  std::array<KvSegment, Team::kMostJobs> segments_;
  float* partials_;
  std::int64_t room_, used_ = 0;
};

}  // namespace

// Splits of a sequence's context side by side where a (token, kv head) pair of it would take a
// large part of what a thread has in the region: merging costs.
template <typename Backend>
void OpBinder<Backend>::attention(const GraphOp& op, const StepInput& step) {
  constexpr std::int64_t kEnoughItems = 8;  // for each lane
  const std::int64_t lanes = backend_.lanes();
  const auto keys_of = [&](const Span& span) {
    const std::int64_t keys = span.first_position + std::ssize(span.ids);
    return op.window_tokens > 0 ? std::min(keys, op.window_tokens) : keys;
  };
  std::int64_t work = 0;  // keys that a kv head's queries of the step see
  for (const Span& span : step.spans) work += std::ssize(span.ids) * keys_of(span);
  const std::int64_t regions =
      (std::ssize(step.spans) + std::int64_t{Team::kMostJobs} - 1) / std::int64_t{Team::kMostJobs};

  AttentionBatch<Backend> batch(backend_, table<float>(layout_->partials_offset),
                                layout_->partials_bytes / static_cast<std::int64_t>(sizeof(float)));
  std::int64_t row = 0;
  for (std::size_t i = 0; i < step.spans.size(); ++i) {
    const Span& span = step.spans[i];
    const AttentionArgs args = attention_args(op, span, row);
    const KvSegment segment{backend_.pages(step, i, op.layer), span.first_position + args.tokens, 0,
                            true};
    const bool few = work / regions * args.kv_heads < kEnoughItems * lanes * keys_of(span);
    batch.add(args, segment, i, op.layer, lanes > 1 && few);
    row += args.tokens;
  }
  batch.run();
}

template void OpBinder<CpuBackend>::kv_append(const GraphOp&, const StepInput&);
template void OpBinder<GpuBackend>::kv_append(const GraphOp&, const StepInput&);
template void OpBinder<CpuBackend>::attention(const GraphOp&, const StepInput&);
template AttentionArgs OpBinder<CpuBackend>::attention_args(const GraphOp&, const Span&,
                                                            std::int64_t) const;
template void OpBinder<GpuBackend>::attention(const GraphOp&, const StepInput&);
template AttentionArgs OpBinder<GpuBackend>::attention_args(const GraphOp&, const Span&,
                                                            std::int64_t) const;

}  // namespace windlass
