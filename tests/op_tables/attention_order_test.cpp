// Attention of every op table: how work is cut changes no bit, or none beyond rounding.
#include "tests/op_tables/attention_problem.h"

namespace windlass::test {

TEST_CASE("any split of the attention items gives the same bits") {
  for (const Backend& backend : backends()) {
    for (const AttentionCase& c : {AttentionCase{23, 3, 3, 64, 16, 90, kF16, true},
                                   AttentionCase{23, 2, 1, 80, 32, 40, kF32, true},
                                   AttentionCase{23, 2, 3, 64, 64, 190, kQ8, true},
                                   AttentionCase{60, 2, 3, 64, 64, 70, kBF16, true},
                                   AttentionCase{23, 2, 3, 64, 64, 190, kF16, true, 0, 21, 5.0f},
                                   AttentionCase{70, 2, 1, 192, 16, 90, kF16, true, 144}}) {
      AttentionProblem problem(c, 4);
      std::vector<float> whole, split;
      attend(backend, problem.args(&whole));
      const AttentionArgs args = problem.args(&split);
      const std::int64_t items = op_items(args);
      for (std::int64_t begin = 0, step = 1; begin < items; begin += step, step = step % 11 + 1) {
        backend.ops.attention(args, {begin, std::min(items, begin + step)});
      }
      INFO(label(backend, c));
      require_same_bits(whole, split);
    }
  }
}

TEST_CASE("one token alone and among others gives the same bits") {
  for (const Backend& backend : backends()) {
    for (const KvTypes& types : {kF16, kQ8}) {
      for (const bool exact : {false, true}) {
        // A GPU treats steps of many tokens otherwise, but for exact queries.
        const std::int64_t window = exact ? 20 : 0;
        const AttentionCase c = {exact ? 20 : 9, 3,    3, 64,     16,   90,
                                 types,          true, 0, window, 5.0f, exact};
        AttentionProblem problem(c, 5);
        std::vector<float> together, alone;
        attend(backend, problem.args(&together));
        const AttentionArgs args = problem.args(&alone);
        for (std::int64_t t = 0; t < c.tokens; ++t) {
          AttentionArgs one = args;
          one.q.data += t * problem.row();
          one.out += t * problem.heads() * c.head_dim;
          one.positions += t;
          one.tokens = 1;
          // As it was: later tokens not yet there.
          std::vector<KvSegment> segment(1, args.segments[0]);
          segment[0].n_keys = one.positions[0] + 1;
          one.segments = segment.data();
          attend(backend, one);
        }
        INFO(label(backend, c));
        require_same_bits(together, alone);
      }
    }
  }
}

TEST_CASE("splits of a long context side by side give the bits of one after the other") {
  for (const Backend& backend : backends()) {
    for (const KvTypes& types : {kF16, kQ8}) {
      for (const std::int64_t n_keys : {512, 513, 1300}) {
        for (const std::int64_t tokens : {1, 5, 22}) {
          for (const std::int64_t window : {0, 200, 600}) {
            const AttentionCase c = {tokens, 2, 3, 64, 64, n_keys, types, true, 0, window};
            AttentionProblem problem(c, 12);
            std::vector<float> serial, side_by_side;
            attend(backend, problem.args(&serial));
            attend_by_splits(backend, problem.args(&side_by_side));
            INFO(label(backend, c));
            require_same_bits(serial, side_by_side);
          }
        }
      }
    }
  }
}

TEST_CASE("two segments give what one gives, within rounding; empty and one-key segments too") {
  for (const Backend& backend : backends()) {
    for (const bool causal : {true, false}) {
      for (const std::int64_t n_keys : {17, 33, 100}) {
        const AttentionCase c = {n_keys == 17 ? 5 : 17, 2, 3, 64, 16, n_keys, kF16, causal};
        AttentionProblem problem(c, 6);
        std::vector<float> whole, cut, by_splits, none;
        attend(backend, problem.args(&whole));
        problem.cut(n_keys / 16 * 16);  // 17 and 33 leave a one-key segment
        problem.segments.insert(problem.segments.begin() + 1, KvSegment{nullptr, 0, 0, true});
        attend(backend, problem.args(&cut));
        attend_by_splits(backend, problem.args(&by_splits));
        INFO(label(backend, c));
        check(cut, {whole.begin(), whole.end()}, tolerance(backend, problem.args(&none)));
        require_same_bits(cut, by_splits);
      }
    }
  }
}

}  // namespace windlass::test
