// Attention of every op table against the double-precision definition.
#include <algorithm>

#include "tests/cpu_kernels/isa_sweep.h"
#include "tests/support/reference_ops.h"

namespace windlass::test {
namespace {

struct Case {
  std::int64_t tokens, kv_heads, group, head_dim, page_tokens, n_keys;
  bool f16, causal;
  std::int64_t value_dim = 0;  // 0: head_dim
  std::int64_t window = 0;
  float soft_cap = 0;

  std::int64_t values() const { return value_dim > 0 ? value_dim : head_dim; }
};

// A sequence's pages filled with random keys and values, and queries at its last positions.
class Problem {
 public:
  Problem(const Case& c, std::uint32_t seed) : c_(c) {
    Random random(seed);
    q_ = random.gauss_vector(c.tokens * row());
    const std::int64_t n_pages = (c.n_keys + c.page_tokens - 1) / c.page_tokens + 1;
    const std::int64_t elements = c.kv_heads * c.page_tokens * (c.head_dim + c.values());
    storage_.assign(at(n_pages), std::vector<std::byte>(at(elements * (c.f16 ? 2 : 4)),
                                                        std::byte{0xff}));  // NaN
    for (auto& page : storage_) pages_.push_back(page.data());
    std::vector<float> k = random.gauss_vector(c.n_keys * c.kv_heads * c.head_dim);
    std::vector<float> v = random.gauss_vector(c.n_keys * c.kv_heads * c.values());
    const Vectors keys = {k.data(), c.kv_heads * c.head_dim, 1, c.head_dim, 0};
    const Vectors values = {v.data(), c.kv_heads * c.values(), 1, c.values(), 0};
    cpu_op_table(Isa::kScalar)
        .kv_append[c.f16 ? 0 : 1]({keys, values, pages_.data(), 0, c.n_keys, c.kv_heads, c.head_dim,
                                   c.values(), c.page_tokens},
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
            c_.soft_cap};
  }
  // Cuts the first segment after `n_keys`, a multiple of the page.
  void cut(std::int64_t n_keys) {
    segments = {{pages_.data(), n_keys, 0, c_.causal},
                {pages_.data() + n_keys / c_.page_tokens, c_.n_keys - n_keys, n_keys, c_.causal}};
  }
  // Makes NaN of the keys and values at slots [0, n).
  void spoil(std::int64_t n) {
    const std::int64_t size = c_.f16 ? 2 : 4;
    for (std::int64_t slot = 0; slot < n; ++slot) {
      std::byte* page = pages_[at(slot / c_.page_tokens)];
      for (std::int64_t g = 0; g < c_.kv_heads; ++g) {
        const std::int64_t row = g * c_.page_tokens + slot % c_.page_tokens;
        std::memset(page + row * c_.head_dim * size, 0xff, at(c_.head_dim * size));
        std::byte* values = page + c_.kv_heads * c_.page_tokens * c_.head_dim * size;
        std::memset(values + row * c_.values() * size, 0xff, at(c_.values() * size));
      }
    }
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

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const std::int64_t group : {1, 3, 8}) {
    for (const std::int64_t head_dim : {2, 16, 64, 80, 128}) {
      for (const bool f16 : {false, true}) {
        for (const std::int64_t n_keys : {1, 15, 16, 33, 150}) {
          for (const std::int64_t tokens : {1, 2, 7}) {
            if (tokens <= n_keys)
              all.push_back({tokens, 2, group, head_dim, 16, n_keys, f16, true});
          }
          all.push_back({1, 1, group, head_dim, 128, n_keys, f16, false});
        }
      }
    }
  }
  all.push_back({70, 3, 3, 64, 64, 70, true, true});
  all.push_back({40, 1, 71, 64, 32, 50, true, true});
  all.push_back({3, 2, 2, 512, 32, 40, true, true});
  // Keys and values of different sizes, windows of all kinds, soft caps.
  for (const std::int64_t window : {0, 1, 5, 16, 17, 24, 63, 64, 65, 1000}) {
    for (const float soft_cap : {0.0f, 5.0f}) {
      all.push_back({9, 2, 3, 64, 16, 150, false, true, 0, window, soft_cap});
      all.push_back({40, 1, 2, 48, 64, 140, true, true, 32, window, soft_cap});
      all.push_back({1, 3, 1, 16, 32, 100, false, true, 80, window, soft_cap});
    }
  }
  return all;
}

auto attention_of(Isa isa, const Case& c) { return cpu_op_table(isa).attention[c.f16 ? 0 : 1]; }

void check(const std::vector<float>& out, const std::vector<double>& expected) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    INFO("element " << i << " is " << out[i] << ", expected " << expected[i]);
    REQUIRE(std::abs(out[i] - expected[i]) <= 3e-6);
  }
}

std::string label(Isa isa, const Case& c) {
  return std::string(isa_name(isa)) + " tokens " + std::to_string(c.tokens) + " group " +
         std::to_string(c.group) + " head_dim " + std::to_string(c.head_dim) + " keys " +
         std::to_string(c.n_keys) + (c.f16 ? " f16" : " f32") + " window " +
         std::to_string(c.window) + " cap " + std::to_string(c.soft_cap);
}

}  // namespace

TEST_CASE("attention over pages equals softmax attention, and never reads an unwritten slot") {
  for (const Case& c : cases()) {
    Problem problem(c, static_cast<std::uint32_t>(c.n_keys * 100 + c.head_dim));
    std::vector<float> out;
    const std::vector<double> expected = reference_attention(problem.args(&out), c.f16);
    for (const Isa isa : present_isas()) {
      const AttentionArgs args = problem.args(&out);
      attention_of(isa, c)(args, {0, c.tokens * c.kv_heads});
      INFO(label(isa, c));
      check(out, expected);
    }
  }
}

TEST_CASE("any split of the attention items gives the same bits") {
  for (const Isa isa : present_isas()) {
    for (const Case& c :
         {Case{23, 3, 3, 64, 16, 90, true, true}, Case{23, 2, 1, 80, 32, 40, false, true},
          Case{23, 2, 3, 64, 64, 190, true, true, 0, 21, 5.0f}}) {
      Problem problem(c, 4);
      std::vector<float> whole, split;
      attention_of(isa, c)(problem.args(&whole), {0, c.tokens * c.kv_heads});
      const AttentionArgs args = problem.args(&split);
      const std::int64_t items = c.tokens * c.kv_heads;
      for (std::int64_t begin = 0, step = 1; begin < items; begin += step, step = step % 11 + 1) {
        attention_of(isa, c)(args, {begin, std::min(items, begin + step)});
      }
      INFO(label(isa, c));
      REQUIRE(std::memcmp(whole.data(), split.data(), whole.size() * 4) == 0);
    }
  }
}

TEST_CASE("one token alone and among others gives the same bits") {
  for (const Isa isa : present_isas()) {
    for (const std::int64_t window : {0, 20}) {
      const Case c = {9, 3, 3, 64, 16, 90, true, true, 0, window, 5.0f};
      Problem problem(c, 5);
      std::vector<float> together, alone;
      attention_of(isa, c)(problem.args(&together), {0, c.tokens * c.kv_heads});
      const AttentionArgs args = problem.args(&alone);
      for (std::int64_t t = 0; t < c.tokens; ++t) {
        AttentionArgs one = args;
        one.q.data += t * problem.row();
        one.out += t * problem.heads() * c.head_dim;
        one.positions += t;
        one.tokens = 1;
        attention_of(isa, c)(one, {0, c.kv_heads});
      }
      REQUIRE(std::memcmp(together.data(), alone.data(), together.size() * 4) == 0);
    }
  }
}

TEST_CASE("two segments give what one gives, within rounding; empty and one-key segments too") {
  for (const Isa isa : present_isas()) {
    for (const bool causal : {true, false}) {
      for (const std::int64_t n_keys : {17, 33, 100}) {
        const Case c = {5, 2, 3, 64, 16, n_keys, true, causal};
        Problem problem(c, 6);
        std::vector<float> whole, cut;
        attention_of(isa, c)(problem.args(&whole), {0, c.tokens * c.kv_heads});
        problem.cut(n_keys / 16 * 16);  // 17 and 33 leave a one-key segment
        problem.segments.insert(problem.segments.begin() + 1, KvSegment{nullptr, 0, 0, true});
        attention_of(isa, c)(problem.args(&cut), {0, c.tokens * c.kv_heads});
        INFO(label(isa, c));
        check(cut, {whole.begin(), whole.end()});
      }
    }
  }
}

TEST_CASE("keys before the window have no weight, and pages before it are not visited") {
  for (const Isa isa : present_isas()) {
    for (const std::int64_t tokens : {1, 6}) {
      const Case c = {tokens, 2, 2, 64, 16, 100, false, true, 0, 20};
      Problem problem(c, 9);
      std::vector<float> before, after;
      attention_of(isa, c)(problem.args(&before), {0, tokens * c.kv_heads});
      const std::int64_t first_seen = 100 - tokens - 19;
      problem.spoil(first_seen);
      problem.drop_pages(first_seen);
      attention_of(isa, c)(problem.args(&after), {0, tokens * c.kv_heads});
      REQUIRE(after == before);
    }
  }
}

TEST_CASE("values that are the beginnings of keys need no place of their own") {
  constexpr std::int64_t kTokens = 4, kKeys = 70, kKeyDim = 72, kValueDim = 48, kHeads = 5;
  for (const Isa isa : present_isas()) {
    for (const bool f16 : {false, true}) {
      Random random(11);
      const int type = f16 ? 0 : 1;
      std::vector<float> k = random.gauss_vector(kKeys * kKeyDim);
      std::vector<float> q = random.gauss_vector(kTokens * kHeads * kKeyDim);
      std::vector<std::byte> both(at((kKeyDim + kValueDim) * 128 * 4)),
          alone(at(kKeyDim * 128 * 4));
      std::byte* both_page = both.data();
      std::byte* alone_page = alone.data();
      const Vectors keys = plain_rows(k.data(), kKeyDim);
      const OpTable& table = cpu_op_table(isa);
      KvAppendArgs append{keys, keys, &both_page, 0, kKeys, 1, kKeyDim, kValueDim, 128};
      table.kv_append[type](append, {0, kKeys});
      append.v = {};
      append.pages = &alone_page;
      append.values_in_keys = true;
      table.kv_append[type](append, {0, kKeys});
      const std::int32_t positions[] = {10, 65, 66, 69};
      std::vector<float> expected(at(kTokens * kHeads * kValueDim)), out = expected;
      const Vectors queries{q.data(), kHeads * kKeyDim, kHeads, 0, kKeyDim};
      KvSegment segment{&both_page, kKeys, 0, true};
      AttentionArgs args{queries, expected.data(), &segment,  1,   positions, kTokens, kHeads,
                         1,       kKeyDim,         kValueDim, 128, 0,         0.1f,    0};
      table.attention[type](args, {0, kTokens});
      segment.pages = &alone_page;
      args.out = out.data();
      args.values_in_keys = true;
      table.attention[type](args, {0, kTokens});
      REQUIRE(out == expected);
      REQUIRE(std::any_of(out.begin(), out.end(), [](float value) { return value != 0; }));
    }
  }
}

TEST_CASE("a query that sees no key gets zeros") {
  for (const Isa isa : present_isas()) {
    const Case c = {2, 2, 3, 80, 16, 20, true, true};
    Problem problem(c, 7);
    problem.segments[0].first_position = 1000;
    std::vector<float> out;
    attention_of(isa, c)(problem.args(&out), {0, c.tokens * c.kv_heads});
    for (const float value : out) REQUIRE(value == 0.0f);
  }
}

TEST_CASE("scores far apart and all very negative neither overflow nor vanish") {
  for (const Isa isa : present_isas()) {
    for (const float scale : {300.0f, -300.0f}) {
      const Case c = {1, 1, 4, 64, 16, 70, false, true};
      Problem problem(c, 8);
      std::vector<float> out;
      AttentionArgs args = problem.args(&out);
      args.scale *= scale;
      const std::vector<double> expected = reference_attention(args, c.f16);
      attention_of(isa, c)(args, {0, c.kv_heads});
      for (std::size_t i = 0; i < out.size(); ++i) {
        // Scores of some thousands carry an error of 1e-4, which is also that of their
        // exponentials.
        REQUIRE(std::abs(out[i] - expected[i]) <= 2e-3 * (1 + std::abs(expected[i])));
      }
    }
  }
}

}  // namespace windlass::test
