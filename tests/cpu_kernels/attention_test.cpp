// Attention of every op table against the double-precision definition.
#include "tests/cpu_kernels/isa_sweep.h"
#include "tests/support/reference_ops.h"

namespace windlass::test {
namespace {

struct Case {
  std::int64_t tokens, kv_heads, group, head_dim, page_tokens, n_keys;
  bool f16, causal;
};

// A sequence's pages filled with random keys and values, and queries at its last positions.
class Problem {
 public:
  Problem(const Case& c, std::uint32_t seed) : c_(c) {
    Random random(seed);
    q_ = random.gauss_vector(c.tokens * heads() * c.head_dim);
    const std::int64_t n_pages = (c.n_keys + c.page_tokens - 1) / c.page_tokens + 1;
    const std::int64_t elements = 2 * c.kv_heads * c.page_tokens * c.head_dim;
    storage_.assign(at(n_pages), std::vector<std::byte>(at(elements * (c.f16 ? 2 : 4)),
                                                        std::byte{0xff}));  // NaN
    for (auto& page : storage_) pages_.push_back(page.data());
    const std::vector<float> k = random.gauss_vector(c.n_keys * c.kv_heads * c.head_dim);
    const std::vector<float> v = random.gauss_vector(c.n_keys * c.kv_heads * c.head_dim);
    cpu_op_table(Isa::kScalar)
        .kv_append[c.f16 ? 0 : 1](
            {k.data(), v.data(), pages_.data(), 0, c.n_keys, c.kv_heads, c.head_dim, c.page_tokens},
            {0, c.n_keys});
    for (std::int64_t t = 0; t < c.tokens; ++t) {
      positions_.push_back(static_cast<std::int32_t>(c.n_keys - c.tokens + t));
    }
    segments = {{pages_.data(), c.n_keys, 0, c.causal}};
  }
  std::int64_t heads() const { return c_.kv_heads * c_.group; }
  AttentionArgs args(std::vector<float>* out) const {
    out->assign(q_.size(), -7.0f);
    return {q_.data(),
            out->data(),
            segments.data(),
            static_cast<std::int64_t>(segments.size()),
            positions_.data(),
            c_.tokens,
            heads(),
            c_.kv_heads,
            c_.head_dim,
            c_.page_tokens,
            1.0f / std::sqrt(static_cast<float>(c_.head_dim))};
  }
  // Cuts the first segment after `n_keys`, a multiple of the page.
  void cut(std::int64_t n_keys) {
    segments = {{pages_.data(), n_keys, 0, c_.causal},
                {pages_.data() + n_keys / c_.page_tokens, c_.n_keys - n_keys, n_keys, c_.causal}};
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
         std::to_string(c.n_keys) + (c.f16 ? " f16" : " f32");
}

}  // namespace

TEST_CASE("attention over pages equals softmax attention, and never reads an unwritten slot") {
  for (const Case& c : cases()) {
    const Problem problem(c, static_cast<std::uint32_t>(c.n_keys * 100 + c.head_dim));
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
         {Case{23, 3, 3, 64, 16, 90, true, true}, Case{23, 2, 1, 80, 32, 40, false, true}}) {
      const Problem problem(c, 4);
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
    const Case c = {9, 3, 3, 64, 16, 90, true, true};
    const Problem problem(c, 5);
    std::vector<float> together, alone;
    attention_of(isa, c)(problem.args(&together), {0, c.tokens * c.kv_heads});
    AttentionArgs args = problem.args(&alone);
    const std::int64_t row = problem.heads() * c.head_dim;
    for (std::int64_t t = 0; t < c.tokens; ++t) {
      AttentionArgs one = args;
      one.q += t * row;
      one.out += t * row;
      one.positions += t;
      one.tokens = 1;
      attention_of(isa, c)(one, {0, c.kv_heads});
    }
    REQUIRE(std::memcmp(together.data(), alone.data(), together.size() * 4) == 0);
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
      const Problem problem(c, 8);
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
