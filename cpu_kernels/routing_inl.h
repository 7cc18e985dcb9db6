// A mixture of experts: choosing them for each row, and moving rows to and from them. For inclusion
// by isa_*.cpp alone.
#pragma once

#include <cstdint>

#include "cpu_kernels/common_inl.h"
#include "src/ops/op_args.h"

namespace windlass {
namespace {

// Of one row: each expert's probability, and what it is chosen by.
struct ExpertScores {
  alignas(64) float probability[kMaxExperts];
  float merit[kMaxExperts];
  bool open[kMaxExperts];  // may still be chosen
};

template <class V>
inline void softmax_scores(const float* scores, std::int64_t n, float* out) {
  float max = -__builtin_inff();
  for (std::int64_t i = 0; i < n; ++i) max = scores[i] > max ? scores[i] : max;
  typename V::F sum = V::zero();
  for (std::int64_t i = 0; i < n; i += V::kLanes) {
    V::store_n(out + i, exp<V>(V::sub(V::load_n(scores + i, n - i), V::set1(max))), n - i);
    sum = V::add(sum, V::load_n(out + i, n - i));
  }
  const typename V::F inverse = V::set1(1.0f / V::sum(sum));
  for (std::int64_t i = 0; i < n; i += V::kLanes) {
    V::store_n(out + i, V::mul(V::load_n(out + i, n - i), inverse), n - i);
  }
}

template <class V>
inline void sigmoid_scores(const float* scores, std::int64_t n, float* out) {
  const typename V::F one = V::set1(1.0f);
  for (std::int64_t i = 0; i < n; i += V::kLanes) {
    const typename V::F power = exp<V>(V::sub(V::zero(), V::load_n(scores + i, n - i)));
    V::store_n(out + i, V::div(one, V::add(one, power)), n - i);
  }
}

// The open one of [begin, end) with the largest merit, the first of equals; -1 where none is open.
inline std::int64_t best_open(const ExpertScores& scores, std::int64_t begin, std::int64_t end) {
  std::int64_t best = -1;
  for (std::int64_t e = begin; e < end; ++e) {
    if (!scores.open[e]) continue;
    if (best < 0 || scores.merit[e] > scores.merit[best]) best = e;
  }
  return best;
}

// REQUIRES every expert open.
inline float group_worth(ExpertScores* scores, std::int64_t begin, std::int64_t end,
                         ExpertGate gate) {
  const std::int64_t best = best_open(*scores, begin, end);
  if (gate == ExpertGate::kSoftmax || end - begin < 2) return scores->merit[best];
  scores->open[best] = false;
  const std::int64_t second = best_open(*scores, begin, end);
  scores->open[best] = true;
  return scores->merit[best] + scores->merit[second];
}

// Leaves open the experts of the best groups.
inline void close_groups(const ChooseExpertsArgs& args, ExpertScores* scores) {
  const std::int64_t size = args.n_experts / args.n_groups;
  float worth[kMaxExperts];
  bool taken[kMaxExperts] = {};
  for (std::int64_t g = 0; g < args.n_groups; ++g) {
    worth[g] = group_worth(scores, g * size, (g + 1) * size, args.gate);
  }
  for (std::int64_t n = 0; n < args.n_groups_used; ++n) {
    std::int64_t best = -1;
    for (std::int64_t g = 0; g < args.n_groups; ++g) {
      if (!taken[g] && (best < 0 || worth[g] > worth[best])) best = g;
    }
    taken[best] = true;
  }
  for (std::int64_t e = 0; e < args.n_experts; ++e) scores->open[e] = taken[e / size];
}

inline void choose_open(const ChooseExpertsArgs& args, ExpertScores* scores, std::int32_t* experts,
                        float* shares) {
  float sum = 0.0f;
  for (std::int64_t j = 0; j < args.n_used; ++j) {
    const std::int64_t best = best_open(*scores, 0, args.n_experts);
    scores->open[best] = false;
    experts[j] = static_cast<std::int32_t>(best);
    shares[j] = scores->probability[best];
    sum += shares[j];
  }
  const float factor = args.normalise ? args.scale / (sum + kLeastShareSum) : args.scale;
  for (std::int64_t j = 0; j < args.n_used; ++j) shares[j] *= factor;
}

template <class V>
void choose_experts(const ChooseExpertsArgs& args, WorkRange range) {
  ExpertScores scores;
  for (std::int64_t row = range.begin; row < range.end; ++row) {
    const float* in = args.scores + row * args.n_experts;
    if (args.gate == ExpertGate::kSoftmax) {
      softmax_scores<V>(in, args.n_experts, scores.probability);
    } else {
      sigmoid_scores<V>(in, args.n_experts, scores.probability);
    }
    for (std::int64_t e = 0; e < args.n_experts; ++e) {
      const float bias = args.bias != nullptr ? args.bias[e] : 0.0f;
      scores.merit[e] = scores.probability[e] + bias;
      scores.open[e] = true;
    }
    if (args.n_groups > 1) close_groups(args, &scores);
    choose_open(args, &scores, args.experts + row * args.n_used, args.shares + row * args.n_used);
  }
}

template <class V>
void gather_rows(const GatherRowsArgs& args, WorkRange range) {
  for (std::int64_t row = range.begin; row < range.end; ++row) {
    const float* in = args.in + args.sources[row] * args.in_stride;
    float* out = args.out + row * args.out_stride;
    for (std::int64_t i = 0; i < args.width; i += V::kLanes) {
      V::store_n(out + i, V::load_n(in + i, args.width - i), args.width - i);
    }
  }
}

template <class V>
void combine_rows(const CombineRowsArgs& args, WorkRange range) {
  for (std::int64_t row = range.begin; row < range.end; ++row) {
    const std::int32_t* places = args.places + row * args.n_used;
    const float* shares = args.shares + row * args.n_used;
    float* out = args.out + row * args.out_stride;
    for (std::int64_t i = 0; i < args.width; i += V::kLanes) {
      const std::int64_t n = args.width - i;
      typename V::F sum = V::zero();
      for (std::int64_t j = 0; j < args.n_used; ++j) {
        const float* in = args.in + places[j] * args.in_stride + i;
        sum = V::fma(V::set1(shares[j]), V::load_n(in, n), sum);
      }
      V::store_n(out + i, V::add(V::load_n(out + i, n), sum), n);
    }
  }
}

}  // namespace
}  // namespace windlass
