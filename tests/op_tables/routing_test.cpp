// Choosing experts, and moving rows to and from them, of every op table: against a plain
// double-precision form, and values made by hand.
#include <algorithm>
#include <numeric>

#include "tests/op_tables/backends.h"

namespace windlass::test {
namespace {

struct Choice {
  std::vector<std::int32_t> experts;
  std::vector<double> shares;
};

// What ChooseExpertsArgs says, by sorting.
Choice reference_choice(const ChooseExpertsArgs& args, std::int64_t row) {
  const std::int64_t n = args.n_experts, group = n / args.n_groups;
  const float* scores = args.scores + row * n;
  std::vector<double> p(at(n)), merit(at(n));
  double sum = 0;
  for (std::int64_t e = 0; e < n; ++e) {
    const bool softmax = args.gate == ExpertGate::kSoftmax;
    p[at(e)] = softmax ? std::exp(static_cast<double>(scores[e]))
                       : 1 / (1 + std::exp(-static_cast<double>(scores[e])));
    sum += p[at(e)];
  }
  for (std::int64_t e = 0; e < n; ++e) {
    if (args.gate == ExpertGate::kSoftmax) p[at(e)] /= sum;
    merit[at(e)] = p[at(e)] + (args.bias == nullptr ? 0 : static_cast<double>(args.bias[e]));
  }
  std::vector<std::pair<double, std::int64_t>> groups;  // worth, index
  for (std::int64_t g = 0; g < args.n_groups; ++g) {
    std::vector<double> of(merit.begin() + g * group, merit.begin() + (g + 1) * group);
    std::sort(of.rbegin(), of.rend());
    const bool two = args.gate == ExpertGate::kSigmoid && of.size() > 1;
    groups.push_back({-(of[0] + (two ? of[1] : 0)), g});
  }
  std::sort(groups.begin(), groups.end());
  std::vector<std::pair<double, std::int64_t>> open;
  for (std::int64_t i = 0; i < args.n_groups_used; ++i) {
    const std::int64_t first = groups[at(i)].second * group;
    for (std::int64_t e = first; e < first + group; ++e) open.push_back({-merit[at(e)], e});
  }
  std::sort(open.begin(), open.end());
  Choice choice;
  double total = 0;
  for (std::int64_t j = 0; j < args.n_used; ++j) {
    choice.experts.push_back(static_cast<std::int32_t>(open[at(j)].second));
    choice.shares.push_back(p[at(open[at(j)].second)]);
    total += choice.shares.back();
  }
  for (double& share : choice.shares) {
    share *= static_cast<double>(args.scale) / (args.normalise ? total : 1);
  }
  return choice;
}

// Room for what an op writes, and an op's arguments for scores given by the test.
struct Routing {
  Routing(std::vector<float> given, std::int64_t rows, std::int64_t n_used)
      : scores(std::move(given)), experts(at(rows * n_used), -1), shares(at(rows * n_used), -1.0f) {
    args.scores = scores.data();
    args.bias = nullptr;
    args.rows = rows;
    args.n_experts = static_cast<std::int64_t>(scores.size()) / rows;
    args.n_used = n_used;
    args.n_groups = args.n_groups_used = 1;
    args.gate = ExpertGate::kSoftmax;
    args.normalise = false;
    args.scale = 1;
    args.experts = experts.data();
    args.shares = shares.data();
  }
  std::vector<float> scores;
  std::vector<std::int32_t> experts;
  std::vector<float> shares;
  ChooseExpertsArgs args;
};

using Experts = std::vector<std::int32_t>;

void check_shares(const Routing& routing, const std::vector<double>& expected) {
  check_close(routing.shares, expected, 1e-6, 1e-7);
}

}  // namespace

TEST_CASE("experts and shares are those of the definition, in every variant and size") {
  for (const Backend& backend : backends()) {
    for (const std::int64_t n_experts : {1, 2, 7, 8, 16, 33, 60, 64, 128, 256}) {
      for (const std::int64_t n_used : {1, 2, 6, 8}) {
        for (int variant = 0; variant < 24; ++variant) {
          const std::int64_t groups = variant % 3 == 0 ? 1 : variant % 3 == 1 ? 4 : n_experts;
          if (n_experts % groups != 0 || n_used > n_experts) continue;
          const std::int64_t size = n_experts / groups;
          const std::int64_t used = std::min(groups, (n_used + size - 1) / size + 1);
          constexpr std::int64_t kRows = 9;
          Random random(static_cast<std::uint32_t>(variant + n_experts));
          Routing routing(random.gauss_vector(kRows * n_experts, 2.0f), kRows, n_used);
          const std::vector<float> bias = random.gauss_vector(n_experts, 0.2f);
          routing.args.gate = variant / 3 % 2 == 0 ? ExpertGate::kSoftmax : ExpertGate::kSigmoid;
          routing.args.normalise = variant / 6 % 2 == 1;
          routing.args.bias = variant / 12 == 1 ? bias.data() : nullptr;
          routing.args.scale = variant % 5 == 0 ? 2.5f : 1.0f;
          routing.args.n_groups = groups;
          routing.args.n_groups_used = used;
          backend.ops.choose_experts(routing.args, {0, 4});
          backend.ops.choose_experts(routing.args, {4, kRows});
          INFO(backend.name << " experts " << n_experts << " used " << n_used << " variant "
                            << variant);
          Experts experts;
          std::vector<double> shares;
          for (std::int64_t row = 0; row < kRows; ++row) {
            const Choice choice = reference_choice(routing.args, row);
            experts.insert(experts.end(), choice.experts.begin(), choice.experts.end());
            shares.insert(shares.end(), choice.shares.begin(), choice.shares.end());
          }
          REQUIRE(routing.experts == experts);
          check_close(routing.shares, shares, 2e-6, 1e-7);
        }
      }
    }
  }
}

TEST_CASE("shares by hand: all experts' softmax, the chosen ones', sigmoids, a scale") {
  const float ln2 = std::log(2.0f);
  for (const Backend& backend : backends()) {
    const auto choose = backend.ops.choose_experts;
    Routing routing({0, 2 * ln2, ln2, 0}, 1, 2);  // probabilities 1/8, 4/8, 2/8, 1/8
    choose(routing.args, {0, 1});
    CHECK(routing.experts == Experts{1, 2});
    check_shares(routing, {0.5, 0.25});
    routing.args.normalise = true;
    choose(routing.args, {0, 1});
    check_shares(routing, {2.0 / 3, 1.0 / 3});
    routing.args.scale = 16;
    choose(routing.args, {0, 1});
    check_shares(routing, {32.0 / 3, 16.0 / 3});
    routing.args.gate = ExpertGate::kSigmoid;  // 1/2, 4/5, 2/3, 1/2
    routing.args.normalise = false;
    choose(routing.args, {0, 1});
    check_shares(routing, {12.8, 32.0 / 3});
    const std::vector<float> bias = {0, -0.5f, 0, 0.5f};
    routing.args.bias = bias.data();  // changes the choice, not the shares
    choose(routing.args, {0, 1});
    CHECK(routing.experts == Experts{3, 2});
    check_shares(routing, {8, 32.0 / 3});
  }
}

TEST_CASE("groups are worth their best expert with softmax, their best two with sigmoid") {
  for (const Backend& backend : backends()) {
    const auto choose = backend.ops.choose_experts;
    Routing routing({3, -9, 2, 2, 0, 1}, 1, 2);  // three groups of two
    routing.args.n_groups = 3;
    routing.args.n_groups_used = 1;
    choose(routing.args, {0, 1});
    CHECK(routing.experts == Experts{0, 1});
    routing.args.gate = ExpertGate::kSigmoid;
    choose(routing.args, {0, 1});
    CHECK(routing.experts == Experts{2, 3});
    routing.args.n_groups_used = 2;
    choose(routing.args, {0, 1});
    CHECK(routing.experts == Experts{2, 3});
  }
}

TEST_CASE("of equal experts and groups the first is chosen; NaN scores choose different ones") {
  const float nan = std::nanf("");
  for (const Backend& backend : backends()) {
    const auto choose = backend.ops.choose_experts;
    Routing equal(std::vector<float>(16, 0.25f), 1, 4);
    choose(equal.args, {0, 1});
    CHECK(equal.experts == Experts{0, 1, 2, 3});
    equal.args.n_groups = 4;
    equal.args.n_groups_used = 2;
    choose(equal.args, {0, 1});
    CHECK(equal.experts == Experts{0, 1, 2, 3});
    Routing spoilt(std::vector<float>(16, nan), 1, 4);
    for (const ExpertGate gate : {ExpertGate::kSoftmax, ExpertGate::kSigmoid}) {
      spoilt.args.gate = gate;
      spoilt.args.n_groups = 4;
      spoilt.args.n_groups_used = 2;
      choose(spoilt.args, {0, 1});
      Experts sorted = spoilt.experts;
      std::sort(sorted.begin(), sorted.end());
      CHECK(std::unique(sorted.begin(), sorted.end()) == sorted.end());
      CHECK(sorted.front() >= 0);
      CHECK(sorted.back() < 16);
      for (const float share : spoilt.shares) CHECK(std::isnan(share));
    }
  }
}

TEST_CASE("sigmoids that vanish are normalised without a NaN") {
  for (const Backend& backend : backends()) {
    Routing routing(std::vector<float>(8, -200.0f), 1, 2);
    routing.args.gate = ExpertGate::kSigmoid;
    routing.args.normalise = true;
    backend.ops.choose_experts(routing.args, {0, 1});
    for (const float share : routing.shares) CHECK(std::isfinite(share));
  }
}

TEST_CASE("gathered rows are copies; combined rows add up by share, onto what is there") {
  for (const Backend& backend : backends()) {
    const OpTable& table = backend.ops;
    for (const std::int64_t width : widths()) {
      constexpr std::int64_t kRows = 5, kUsed = 3, kRouted = kRows * kUsed;
      Random random(static_cast<std::uint32_t>(width));
      const std::int64_t in_stride = width + 2, out_stride = width + 1;
      const std::vector<float> in = random.gauss_vector(kRouted * in_stride);
      const std::vector<float> shares = random.gauss_vector(kRouted);
      std::vector<std::int32_t> order(at(kRouted));
      for (std::size_t i = 0; i < order.size(); ++i) {
        order[i] = static_cast<std::int32_t>((i * 7 + 2) % order.size());
      }
      std::vector<float> gathered(at(kRouted * out_stride), 9.0f);
      const GatherRowsArgs gather{in.data(), order.data(), gathered.data(), in_stride, out_stride,
                                  kRouted,   width};
      table.gather_rows(gather, {0, 4});
      table.gather_rows(gather, {4, kRouted});
      std::vector<float> combined(at(kRows * out_stride), 9.0f);
      table.combine_rows({in.data(), order.data(), shares.data(), combined.data(), in_stride,
                          out_stride, kRows, kUsed, width},
                         {0, kRows});
      for (std::int64_t row = 0; row < kRouted; ++row) {
        const float* from = in.data() + order[at(row)] * in_stride;
        const float* to = gathered.data() + row * out_stride;
        REQUIRE(std::equal(from, from + width, to));
        REQUIRE(to[width] == 9.0f);
      }
      for (std::int64_t row = 0; row < kRows; ++row) {
        for (std::int64_t i = 0; i < width; ++i) {
          double sum = 9;
          for (std::int64_t j = row * kUsed; j < (row + 1) * kUsed; ++j) {
            sum += static_cast<double>(shares[at(j)]) *
                   static_cast<double>(in[at(order[at(j)] * in_stride + i)]);
          }
          REQUIRE(combined[at(row * out_stride + i)] == Approx(sum).epsilon(2e-6).margin(2e-6));
        }
        REQUIRE(combined[at(row * out_stride + width)] == 9.0f);
      }
    }
  }
}

}  // namespace windlass::test
