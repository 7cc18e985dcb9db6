// Attention of every op table against the double-precision definition.
#include <algorithm>

#include "tests/cpu_kernels/isa_sweep.h"
#include "tests/support/reference_ops.h"

namespace windlass::test {
namespace {

struct Case {
  std::int64_t tokens, kv_heads, group, head_dim, page_tokens, n_keys;
  KvTypes types;
  bool causal;
  std::int64_t value_dim = 0;  // 0: head_dim
  std::int64_t window = 0;
  float soft_cap = 0;
  bool exact_queries = false;

  std::int64_t values() const { return value_dim > 0 ? value_dim : head_dim; }
};

// A sequence's pages filled with random keys and values, and queries at its last positions.
class Problem {
 public:
  Problem(const Case& c, std::uint32_t seed) : c_(c) {
    Random random(seed);
    q_ = random.gauss_vector(c.tokens * row());
    const std::int64_t n_pages = (c.n_keys + c.page_tokens - 1) / c.page_tokens + 1;
    const std::int64_t token_bytes =
        kv_bytes(c.types.keys, c.head_dim) + kv_bytes(c.types.values, c.values());
    storage_.assign(at(n_pages),
                    std::vector<std::byte>(at(c.kv_heads * c.page_tokens * token_bytes),
                                           std::byte{0xff}));  // NaN
    for (auto& page : storage_) pages_.push_back(page.data());
    std::vector<float> k = random.gauss_vector(c.n_keys * c.kv_heads * c.head_dim);
    std::vector<float> v = random.gauss_vector(c.n_keys * c.kv_heads * c.values());
    const Vectors keys = {k.data(), c.kv_heads * c.head_dim, 1, c.head_dim, 0};
    const Vectors values = {v.data(), c.kv_heads * c.values(), 1, c.values(), 0};
    cpu_op_table(Isa::kScalar)
        .kv_append({keys, values, pages_.data(), 0, c.n_keys, c.kv_heads, c.head_dim, c.values(),
                    c.page_tokens, c.types},
                   {0, c.n_keys});
    for (std::int64_t t = 0; t < c.tokens; ++t) {
      positions_.push_back(static_cast<std::int32_t>(c.n_keys - c.tokens + t));
    }
    segments = {{pages_.data(), c.n_keys, 0, c.causal}};
  }
  std::int64_t heads() const { return c_.kv_heads * c_.group; }
  // Queries of a token: those of a group side by side, with a gap of one head behind each group.
  std::int64_t row() const { return c_.kv_heads * (c_.group + 1) * c_.head_dim; }
  AttentionArgs args(std::vector<float>* out) {
    out->assign(at(c_.tokens * heads() * c_.values()), -7.0f);
    return {{q_.data(), row(), c_.group, (c_.group + 1) * c_.head_dim, c_.head_dim},
            out->data(),
            segments.data(),
            static_cast<std::int64_t>(segments.size()),
            positions_.data(),
            c_.tokens,
            heads(),
            c_.kv_heads,
            c_.head_dim,
            c_.values(),
            c_.page_tokens,
            c_.window,
            1.0f / std::sqrt(static_cast<float>(c_.head_dim)),
            c_.soft_cap,
            c_.types,
            false,
            c_.exact_queries};
  }
  // Cuts the first segment after `n_keys`, a multiple of the page.
  void cut(std::int64_t n_keys) {
    segments = {{pages_.data(), n_keys, 0, c_.causal},
                {pages_.data() + n_keys / c_.page_tokens, c_.n_keys - n_keys, n_keys, c_.causal}};
  }
  // Makes NaN of the keys and values at slots [0, n).
  void spoil(std::int64_t n) {
    const std::vector<float> nan(at(c_.kv_heads * std::max(c_.head_dim, c_.values())), NAN);
    const Vectors nans = {const_cast<float*>(nan.data()), 0, 1, 0, 0};
    cpu_op_table(Isa::kScalar)
        .kv_append({nans, nans, pages_.data(), 0, n, c_.kv_heads, c_.head_dim, c_.values(),
                    c_.page_tokens, c_.types},
                   {0, n});
  }
  // Takes away the pages before the one that holds slot n.
  void drop_pages(std::int64_t n) {
    for (std::int64_t page = 0; page < n / c_.page_tokens; ++page) pages_[at(page)] = nullptr;
  }
  std::vector<KvSegment> segments;

 private:
  Case c_;
  std::vector<float> q_;
  std::vector<std::vector<std::byte>> storage_;
  std::vector<std::byte*> pages_;
  std::vector<std::int32_t> positions_;
};

constexpr KvTypes kF16 = {KvType::kF16, KvType::kF16}, kF32 = {KvType::kF32, KvType::kF32},
                  kBF16 = {KvType::kBF16, KvType::kBF16}, kQ8 = {KvType::kQ8_0, KvType::kQ8_0};

std::vector<Case> cases() {
  std::vector<Case> all;
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

void attend(Isa isa, const AttentionArgs& args) {
  cpu_op_table(isa).attention(args, {0, op_items(args)});
}

// The same by splits side by side.
void attend_by_splits(Isa isa, AttentionArgs args) {
  const std::int64_t rows = args.tokens * args.heads, splits = n_splits(args);
  std::vector<float> partials(at(splits * rows * partial_floats(args.value_dim)), NAN);
  args.partials = partials.data();
  for (std::int64_t item = op_items(args) - 1; item >= 0; --item) {
    cpu_op_table(isa).attention(args, {item, item + 1});
  }
  cpu_op_table(isa).merge_partials({partials.data(), args.out, splits, rows, args.value_dim},
                                   {0, rows});
}

void check(const std::vector<float>& out, const std::vector<double>& expected) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    INFO("element " << i << " is " << out[i] << ", expected " << expected[i]);
    REQUIRE(std::abs(out[i] - expected[i]) <= 3e-6);
  }
}

void require_same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  REQUIRE(std::memcmp(a.data(), b.data(), a.size() * 4) == 0);
}

std::string label(Isa isa, const Case& c) {
  return std::string(isa_name(isa)) + " tokens " + std::to_string(c.tokens) + " group " +
         std::to_string(c.group) + " head_dim " + std::to_string(c.head_dim) + " keys " +
         std::to_string(c.n_keys) + " " + kv_type_name(c.types.keys) + "/" +
         kv_type_name(c.types.values) + " window " + std::to_string(c.window) + " cap " +
         std::to_string(c.soft_cap);
}

}  // namespace

TEST_CASE("attention over pages equals softmax attention, and never uses an unwritten slot") {
  for (const Case& c : cases()) {
    Problem problem(c, static_cast<std::uint32_t>(c.n_keys * 100 + c.head_dim));
    std::vector<float> out;
    const std::vector<double> expected = reference_attention(problem.args(&out));
    for (const Isa isa : present_isas()) {
      attend(isa, problem.args(&out));
      INFO(label(isa, c));
      check(out, expected);
    }
  }
}

TEST_CASE("queries rounded for q8_0 keys stay close to what they are") {
  const Case c = {5, 2, 3, 64, 64, 200, kQ8, true};
  Case exact = c;
  exact.exact_queries = true;
  for (const Isa isa : present_isas()) {
    Problem rounded_problem(c, 3), exact_problem(exact, 3);
    std::vector<float> rounded, out;
    attend(isa, rounded_problem.args(&rounded));
    attend(isa, exact_problem.args(&out));
    double most = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
      most = std::max(most, std::abs(static_cast<double>(rounded[i]) - out[i]));
    }
    INFO(isa_name(isa) << " differ by " << most);
    REQUIRE(most < 1e-2);
    REQUIRE(most > 1e-5);  // they are rounded
  }
}

TEST_CASE("any split of the attention items gives the same bits") {
  for (const Isa isa : present_isas()) {
    for (const Case& c :
         {Case{23, 3, 3, 64, 16, 90, kF16, true}, Case{23, 2, 1, 80, 32, 40, kF32, true},
          Case{23, 2, 3, 64, 64, 190, kQ8, true}, Case{60, 2, 3, 64, 64, 70, kBF16, true},
          Case{23, 2, 3, 64, 64, 190, kF16, true, 0, 21, 5.0f}}) {
      Problem problem(c, 4);
      std::vector<float> whole, split;
      attend(isa, problem.args(&whole));
      const AttentionArgs args = problem.args(&split);
      const std::int64_t items = op_items(args);
      for (std::int64_t begin = 0, step = 1; begin < items; begin += step, step = step % 11 + 1) {
        cpu_op_table(isa).attention(args, {begin, std::min(items, begin + step)});
      }
      INFO(label(isa, c));
      require_same_bits(whole, split);
    }
  }
}

TEST_CASE("one token alone and among others gives the same bits") {
  for (const Isa isa : present_isas()) {
    for (const KvTypes& types : {kF16, kQ8}) {
      for (const std::int64_t window : {0, 20}) {
        const Case c = {9, 3, 3, 64, 16, 90, types, true, 0, window, 5.0f};
        Problem problem(c, 5);
        std::vector<float> together, alone;
        attend(isa, problem.args(&together));
        const AttentionArgs args = problem.args(&alone);
        for (std::int64_t t = 0; t < c.tokens; ++t) {
          AttentionArgs one = args;
          one.q.data += t * problem.row();
          one.out += t * problem.heads() * c.head_dim;
          one.positions += t;
          one.tokens = 1;
          // As it was: later tokens not yet there.
          KvSegment segment = args.segments[0];
          segment.n_keys = args.positions[t] + 1;
          one.segments = &segment;
          attend(isa, one);
        }
        INFO(label(isa, c));
        require_same_bits(together, alone);
      }
    }
  }
}

TEST_CASE("splits of a long context side by side give the bits of one after the other") {
  for (const Isa isa : present_isas()) {
    for (const KvTypes& types : {kF16, kQ8}) {
      for (const std::int64_t n_keys : {512, 513, 1300}) {
        for (const std::int64_t tokens : {1, 5}) {
          for (const std::int64_t window : {0, 200, 600}) {
            const Case c = {tokens, 2, 3, 64, 64, n_keys, types, true, 0, window};
            Problem problem(c, 12);
            std::vector<float> serial, side_by_side;
            attend(isa, problem.args(&serial));
            attend_by_splits(isa, problem.args(&side_by_side));
            INFO(label(isa, c));
            require_same_bits(serial, side_by_side);
          }
        }
      }
    }
  }
}

TEST_CASE("two segments give what one gives, within rounding; empty and one-key segments too") {
  for (const Isa isa : present_isas()) {
    for (const bool causal : {true, false}) {
      for (const std::int64_t n_keys : {17, 33, 100}) {
        const Case c = {5, 2, 3, 64, 16, n_keys, kF16, causal};
        Problem problem(c, 6);
        std::vector<float> whole, cut, by_splits;
        attend(isa, problem.args(&whole));
        problem.cut(n_keys / 16 * 16);  // 17 and 33 leave a one-key segment
        problem.segments.insert(problem.segments.begin() + 1, KvSegment{nullptr, 0, 0, true});
        attend(isa, problem.args(&cut));
        attend_by_splits(isa, problem.args(&by_splits));
        INFO(label(isa, c));
        check(cut, {whole.begin(), whole.end()});
        require_same_bits(cut, by_splits);
      }
    }
  }
}

TEST_CASE("keys before the window have no weight, and pages before it are not visited") {
  for (const Isa isa : present_isas()) {
    for (const std::int64_t tokens : {1, 6}) {
      const Case c = {tokens, 2, 2, 64, 16, 100, kF32, true, 0, 20};
      Problem problem(c, 9);
      std::vector<float> before, after;
      attend(isa, problem.args(&before));
      const std::int64_t first_seen = 100 - tokens - 19;
      problem.spoil(first_seen);
      problem.drop_pages(first_seen);
      attend(isa, problem.args(&after));
      REQUIRE(after == before);
    }
  }
}

TEST_CASE("values that are the beginnings of keys need no place of their own") {
  constexpr std::int64_t kTokens = 4, kKeys = 70, kKeyDim = 160, kValueDim = 136, kHeads = 5;
  for (const Isa isa : present_isas()) {
    for (const KvType type : kKvTypes) {
      Random random(11);
      std::vector<float> k = random.gauss_vector(kKeys * kKeyDim);
      std::vector<float> q = random.gauss_vector(kTokens * kHeads * kKeyDim);
      std::vector<std::byte> both(at((kKeyDim + kValueDim) * 128 * 4)),
          alone(at(kKeyDim * 128 * 4));
      std::byte* both_page = both.data();
      std::byte* alone_page = alone.data();
      const Vectors keys = plain_rows(k.data(), kKeyDim);
      const OpTable& table = cpu_op_table(isa);
      // Values of their own are stored as f32, from what the keys became.
      const KvTypes types = {type, KvType::kF32};
      KvAppendArgs append{keys, keys, &both_page, 0, kKeys, 1, kKeyDim, kValueDim, 128, types};
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
      append.pages = &alone_page;
      append.values_in_keys = true;
      append.types = {type, type};
      table.kv_append(append, {0, kKeys});
      const std::int32_t positions[] = {10, 65, 66, 69};
      std::vector<float> expected(at(kTokens * kHeads * kValueDim)), out = expected;
      const Vectors queries{q.data(), kHeads * kKeyDim, kHeads, 0, kKeyDim};
      KvSegment segment{&both_page, kKeys, 0, true};
      AttentionArgs args{queries, expected.data(), &segment, 1, positions, kTokens, kHeads, 1,
                         kKeyDim, kValueDim,       128,      0, 0.1f,      0,       types};
      attend(isa, args);
      segment.pages = &alone_page;
      args.out = out.data();
      args.values_in_keys = true;
      args.types = {type, type};
      attend(isa, args);
      REQUIRE(out == expected);
      REQUIRE(std::any_of(out.begin(), out.end(), [](float value) { return value != 0; }));
    }
  }
}

TEST_CASE("a query that sees no key gets zeros") {
  for (const Isa isa : present_isas()) {
    const Case c = {2, 2, 3, 80, 16, 20, kF16, true};
    Problem problem(c, 7);
    problem.segments[0].first_position = 1000;
    std::vector<float> out;
    attend(isa, problem.args(&out));
    for (const float value : out) REQUIRE(value == 0.0f);
    out.assign(out.size(), 1.0f);
    attend_by_splits(isa, problem.args(&out));
    for (const float value : out) REQUIRE(value == 0.0f);
  }
}

TEST_CASE("scores far apart and all very negative neither overflow nor vanish") {
  for (const Isa isa : present_isas()) {
    for (const float scale : {300.0f, -300.0f}) {
      const Case c = {1, 1, 4, 64, 16, 70, kF32, true};
      Problem problem(c, 8);
      std::vector<float> out;
      AttentionArgs args = problem.args(&out);
      args.scale *= scale;
      const std::vector<double> expected = reference_attention(args);
      attend(isa, args);
      for (std::size_t i = 0; i < out.size(); ++i) {
        // Scores of some thousands carry an error of 1e-4, which is also that of their
        // exponentials.
        REQUIRE(std::abs(out[i] - expected[i]) <= 2e-3 * (1 + std::abs(expected[i])));
      }
    }
  }
}

}  // namespace windlass::test
