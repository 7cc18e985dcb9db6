// Attention of every op table against the double-precision definition.
#include "tests/op_tables/attention_problem.h"

namespace windlass::test {
namespace {

std::vector<AttentionCase> cases() {
  std::vector<AttentionCase> all;
  for (const std::int64_t group : {1, 3, 8}) {
    for (const std::int64_t head_dim : {2, 16, 64, 80, 128}) {
      for (const KvTypes& types : {kF16, kF32}) {
        for (const std::int64_t n_keys : {1, 15, 16, 33, 150}) {
          for (const std::int64_t tokens : {1, 2, 7}) {
            if (tokens <= n_keys)
              all.push_back({tokens, 2, group, head_dim, 16, n_keys, types, true});
          }
          all.push_back({1, 1, group, head_dim, 128, n_keys, types, false});
        }
      }
    }
  }
  all.push_back({70, 3, 3, 64, 64, 70, kF16, true});
  all.push_back({40, 1, 71, 64, 32, 50, kF16, true});
  all.push_back({3, 2, 2, 512, 32, 40, kF16, true});
  all.push_back({2, 1, 2, 2048, 32, 40, kF16, true});
  // Keys and values of different sizes, windows of all kinds, soft caps.
  for (const std::int64_t window : {0, 1, 5, 16, 17, 24, 63, 64, 65, 1000}) {
    for (const float soft_cap : {0.0f, 5.0f}) {
      all.push_back({9, 2, 3, 64, 16, 150, kF32, true, 0, window, soft_cap});
      all.push_back({40, 1, 2, 48, 64, 140, kF16, true, 32, window, soft_cap});
      all.push_back({1, 3, 1, 16, 32, 100, kF32, true, 80, window, soft_cap});
      all.push_back({9, 2, 3, 64, 64, 150, kQ8, true, 96, window, soft_cap});
    }
  }
  // Steps of many tokens, in heads of all sizes: tiles and parts of them.
  for (const std::int64_t head_dim : {16, 64, 80, 96, 112, 128, 192, 256}) {
    for (const KvTypes& types : {kF16, kQ8}) {
      if (!kv_type_fits(types.keys, head_dim)) continue;
      all.push_back({17, 2, 3, head_dim, 16, 70, types, true});
      all.push_back({70, 1, 1, head_dim, 32, 130, types, true, 0, 40, 5.0f});
      all.push_back({16, 1, 5, head_dim, 64, 33, types, false, 160 - head_dim % 64});
    }
  }
  all.push_back({20, 1, 3, 64, 16, 1100, kF16, true});
  all.push_back({16, 1, 2, 576, 16, 40, kF16, true, 512});
  // Every pair of types, in heads of one block and of more than a chunk, over several splits.
  for (const KvType keys : kKvTypes) {
    for (const KvType values : kKvTypes) {
      for (const bool exact_queries : {false, true}) {
        all.push_back({7, 2, 3, 32, 16, 150, {keys, values}, true, 64, 0, 0, exact_queries});
        all.push_back({2, 1, 2, 160, 64, 1100, {keys, values}, true, 192, 0, 0, exact_queries});
      }
    }
  }
  return all;
}

}  // namespace

TEST_CASE("attention over pages equals softmax attention, and never uses an unwritten slot") {
  for (const AttentionCase& c : cases()) {
    AttentionProblem problem(c, static_cast<std::uint32_t>(c.n_keys * 100 + c.head_dim));
    std::vector<float> out;
    const std::vector<double> expected = reference_attention(problem.args(&out));
    for (const Backend& backend : backends()) {
      const AttentionArgs args = problem.args(&out);
      attend(backend, args);
      INFO(label(backend, c));
      check(out, expected, tolerance(backend, args));
    }
  }
}

TEST_CASE("queries rounded for q8_0 keys stay close to what they are") {
  const AttentionCase c = {5, 2, 3, 64, 64, 200, kQ8, true};
  AttentionCase exact = c;
  exact.exact_queries = true;
  for (const Backend& backend : backends()) {
    AttentionProblem rounded_problem(c, 3), exact_problem(exact, 3);
    std::vector<float> rounded, out;
    attend(backend, rounded_problem.args(&rounded));
    attend(backend, exact_problem.args(&out));
    double most = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
      most = std::max(most, std::abs(static_cast<double>(rounded[i]) - out[i]));
    }
    INFO(backend.name << " differ by " << most);
    REQUIRE(most < 1e-2);
    REQUIRE(most > 1e-5);  // they are rounded
  }
}

TEST_CASE("positions are data: queries in any order see what theirs says, and some nothing") {
  for (const std::int64_t tokens : {5, 20}) {
    for (const KvTypes& types : {kF16, kQ8}) {
      for (const std::int64_t window : {0, 30}) {
        AttentionProblem problem({tokens, 2, 3, 64, 16, 100, types, true, 0, window}, 10);
        for (std::int64_t t = 0; t < tokens; ++t) {
          problem.positions[at(t)] = static_cast<std::int32_t>((t * 37 + 11) % 140);
        }
        problem.segments[0].first_position = 15;
        std::vector<float> out, by_splits;
        const std::vector<double> expected = reference_attention(problem.args(&out));
        for (const Backend& backend : backends()) {
          INFO(backend.name << " tokens " << tokens << " window " << window);
          const AttentionArgs args = problem.args(&out);
          attend(backend, args);
          attend_by_splits(backend, problem.args(&by_splits));
          check(out, expected, tolerance(backend, args));
          require_same_bits(out, by_splits);
        }
      }
    }
  }
}

TEST_CASE("what a table appends is what it attends to") {
  for (const Backend& backend : backends()) {
    for (const KvType type : kKvTypes) {
      for (const std::int64_t tokens : {3, 16}) {
        const AttentionCase c = {tokens, 2, 2, 96, 32, 75, {type, type}, true};
        AttentionProblem problem(c, 13, backend.ops);
        std::vector<float> out;
        const AttentionArgs args = problem.args(&out);
        const std::vector<double> expected = reference_attention(args);
        attend(backend, args);
        INFO(label(backend, c));
        check(out, expected, tolerance(backend, args));
      }
    }
  }
}

TEST_CASE("keys before the window have no weight, and pages before it are not visited") {
  for (const Backend& backend : backends()) {
    for (const std::int64_t tokens : {1, 6, 18}) {
      const AttentionCase c = {tokens, 2, 2, 64, 16, 100, tokens == 18 ? kF16 : kF32, true, 0, 20};
      AttentionProblem problem(c, 9);
      std::vector<float> before, after;
      attend(backend, problem.args(&before));
      const std::int64_t first_seen = 100 - tokens - 19;
      problem.spoil(first_seen);
      problem.drop_pages(first_seen);
      attend(backend, problem.args(&after));
      REQUIRE(after == before);
    }
  }
}

TEST_CASE("values that are the beginnings of keys need no place of their own") {
  constexpr std::int64_t kTokens = 4, kKeys = 70, kKeyDim = 160, kValueDim = 136, kHeads = 5;
  for (const Backend& backend : backends()) {
    for (const KvType type : kKvTypes) {
      Random random(11);
      std::vector<float> k = random.gauss_vector(kKeys * kKeyDim);
      std::vector<float> q = random.gauss_vector(kTokens * kHeads * kKeyDim);
      std::vector<std::byte> both(at((kKeyDim + kValueDim) * 128 * 4)),
          alone(at(kKeyDim * 128 * 4));
      std::vector<std::byte*> pages = {both.data()};
      const Vectors keys = plain_rows(k.data(), kKeyDim);
      const OpTable& table = backend.ops;
      // Values of their own are stored as f32, from what the keys became.
      const KvTypes types = {type, KvType::kF32};
      KvAppendArgs append{keys, keys, pages.data(), 0, kKeys, 1, kKeyDim, kValueDim, 128, types};
      table.kv_append(append, {0, kKeys});
      std::vector<float> stored = k;
      const PageShape shape{1, kKeyDim, kValueDim, 128, types};
      for (std::int64_t t = 0; t < kKeys; ++t) {
        const auto key = reference_kv_row(shape, append.pages, t, 0, false);
        for (std::int64_t i = 0; i < kKeyDim; ++i) {
          stored[at(t * kKeyDim + i)] = static_cast<float>(key[at(i)]);
        }
      }
      append.v = plain_rows(stored.data(), kKeyDim);
      table.kv_append(append, {0, kKeys});
      append.v = {};
      std::vector<std::byte*> alone_pages = {alone.data()};
      append.pages = alone_pages.data();
      append.values_in_keys = true;
      append.types = {type, type};
      table.kv_append(append, {0, kKeys});
      const std::vector<std::int32_t> positions = {10, 65, 66, 69};
      std::vector<float> expected(at(kTokens * kHeads * kValueDim)), out = expected;
      const Vectors queries{q.data(), kHeads * kKeyDim, kHeads, 0, kKeyDim};
      std::vector<KvSegment> segment = {{pages.data(), kKeys, 0, true}};
      AttentionArgs args{queries,
                         expected.data(),
                         segment.data(),
                         1,
                         positions.data(),
                         kTokens,
                         kHeads,
                         1,
                         kKeyDim,
                         kValueDim,
                         128,
                         0,
                         0.1f,
                         0,
                         types};
      attend(backend, args);
      segment[0].pages = alone_pages.data();
      args.out = out.data();
      args.values_in_keys = true;
      args.types = {type, type};
      attend(backend, args);
      REQUIRE(out == expected);
      REQUIRE(std::any_of(out.begin(), out.end(), [](float value) { return value != 0; }));
    }
  }
}

TEST_CASE("a query that sees no key gets zeros") {
  for (const Backend& backend : backends()) {
    const AttentionCase c = {2, 2, 3, 80, 16, 20, kF16, true};
    AttentionProblem problem(c, 7);
    problem.segments[0].first_position = 1000;
    std::vector<float> out;
    attend(backend, problem.args(&out));
    for (const float value : out) REQUIRE(value == 0.0f);
    out.assign(out.size(), 1.0f);
    attend_by_splits(backend, problem.args(&out));
    for (const float value : out) REQUIRE(value == 0.0f);
  }
}

TEST_CASE("scores far apart and all very negative neither overflow nor vanish") {
  for (const Backend& backend : backends()) {
    for (const float scale : {300.0f, -300.0f}) {
      const AttentionCase c = {1, 1, 4, 64, 16, 70, kF32, true};
      AttentionProblem problem(c, 8);
      std::vector<float> out;
      AttentionArgs args = problem.args(&out);
      args.scale *= scale;
      const std::vector<double> expected = reference_attention(args);
      attend(backend, args);
      for (std::size_t i = 0; i < out.size(); ++i) {
        // Scores of some thousands carry an error of 1e-4, which is also that of their
        // exponentials.
        REQUIRE(std::abs(out[i] - expected[i]) <= 2e-3 * (1 + std::abs(expected[i])));
      }
    }
  }
}

}  // namespace windlass::test
