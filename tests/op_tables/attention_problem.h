// A problem of attention that backends are given, and what they are asked for.
#pragma once

#include <algorithm>

#include "cpu_kernels/op_table.h"
#include "kernels/attention.h"
#include "tests/op_tables/backends.h"
#include "tests/support/reference_ops.h"

namespace windlass::test {

struct AttentionCase {
  std::int64_t tokens, kv_heads, group, head_dim, page_tokens, n_keys;
  KvTypes types;
  bool causal;
  std::int64_t value_dim = 0;  // 0: head_dim
  std::int64_t window = 0;
  float soft_cap = 0;
  bool exact_queries = false;

  std::int64_t values() const { return value_dim > 0 ? value_dim : head_dim; }
};

// A sequence's pages filled with random keys and values by `table`, and queries at its last
// positions.
class AttentionProblem {
 public:
  AttentionProblem(const AttentionCase& c, std::uint32_t seed,
                   const OpTable& table = cpu_op_table(Isa::kScalar))
      : c_(c) {
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
    table.kv_append({keys, values, pages_.data(), 0, c.n_keys, c.kv_heads, c.head_dim, c.values(),
                     c.page_tokens, c.types},
                    {0, c.n_keys});
    for (std::int64_t t = 0; t < c.tokens; ++t) {
      positions.push_back(static_cast<std::int32_t>(c.n_keys - c.tokens + t));
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
            positions.data(),
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
  std::vector<std::int32_t> positions;

 private:
  AttentionCase c_;
  std::vector<float> q_;
  std::vector<std::vector<std::byte>> storage_;
  std::vector<std::byte*> pages_;
};

inline constexpr KvTypes kF16 = {KvType::kF16, KvType::kF16}, kF32 = {KvType::kF32, KvType::kF32},
                         kBF16 = {KvType::kBF16, KvType::kBF16},
                         kQ8 = {KvType::kQ8_0, KvType::kQ8_0};

inline void attend(const Backend& backend, const AttentionArgs& args) {
  backend.ops.attention(args, {0, op_items(args)});
}

// The same by splits side by side.
inline void attend_by_splits(const Backend& backend, AttentionArgs args) {
  const std::int64_t rows = args.tokens * args.heads, splits = n_splits(args);
  std::vector<float> partials(at(splits * rows * partial_floats(args.value_dim)), NAN);
  args.partials = partials.data();
  for (std::int64_t item = op_items(args) - 1; item >= 0; --item) {
    backend.ops.attention(args, {item, item + 1});
  }
  backend.ops.merge_partials({partials.data(), args.out, splits, rows, args.value_dim}, {0, rows});
}

// Products of halves: queries, weights and q8_0's values are rounded to 11 bits, each by up to
// 2^-11 of itself, and results are sums of some such errors of numbers of about 1.
inline double tolerance(const Backend& backend, const AttentionArgs& args) {
  return backend.is_gpu && on_tensor_cores(args) ? 2e-3 : 3e-6;
}

inline void check(const std::vector<float>& out, const std::vector<double>& expected,
                  double tolerance) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    INFO("element " << i << " is " << out[i] << ", expected " << expected[i]);
    REQUIRE(std::abs(out[i] - expected[i]) <= tolerance);
  }
}

inline void require_same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  REQUIRE(std::memcmp(a.data(), b.data(), a.size() * 4) == 0);
}

inline std::string label(const Backend& backend, const AttentionCase& c) {
  return backend.name + " tokens " + std::to_string(c.tokens) + " group " +
         std::to_string(c.group) + " head_dim " + std::to_string(c.head_dim) + " keys " +
         std::to_string(c.n_keys) + " " + kv_type_name(c.types.keys) + "/" +
         kv_type_name(c.types.values) + " window " + std::to_string(c.window) + " cap " +
         std::to_string(c.soft_cap);
}

}  // namespace windlass::test
