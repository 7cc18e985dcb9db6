#include "pipeline/tier_program.h"

#include <algorithm>
#include <cmath>

#include "src/base/check.h"

namespace windlass {
namespace {

// The program's own units, in which numbers are of about 1: 64 MiB and milliseconds.
constexpr double kByteUnit = 1.0 / (64 << 20);
constexpr double kTimeUnit = 1e3;
// Keeps the solver from streaming what is free to stream and of no use.
constexpr double kStreamCost = 1e-6;

double ratio(double work, double rate) { return rate > 0 ? work / rate : 0; }
double ms_of_bytes(double bytes_per_s) { return ratio(kTimeUnit / kByteUnit, bytes_per_s); }

}  // namespace

TierProgram::TierProgram(const std::vector<UnitClass>& classes, const TierRoom& room,
                         const TierRules& rules, const Profile& profile)
    : classes_(classes),
      profile_(profile),
      kv_(room.kv_bytes * kByteUnit),
      dram_ms_(ms_of_bytes(profile.dram_bytes_per_s)),
      h2d_ms_(ms_of_bytes(profile.gpu->h2d_bytes_per_s)),
      ring_(room.ring_bytes > 0 ? room.ring_bytes * kByteUnit : kNoLimit),
      apart_ms_((profile.gpu->d2h_latency_s + profile.gpu->h2d_latency_s) * kTimeUnit),
      decode_ms_(program_.add_variable(0, kNoLimit, 0, false)),
      prefill_ms_(program_.add_variable(0, kNoLimit, 0, false)),
      disk_bytes_(program_.add_variable(0, kNoLimit, 0, false)) {
  for (const UnitClass& own : classes) {
    const Variables v = add_variables(own, rules);
    variables_.push_back(v);
    add_counts(own, v);
    add_split(own, v);
    if (own.attends) add_kv_apart(own, v);
    add_bytes(own, v);
    add_decode(own, v);
    add_prefill(own, v);
  }
  host_.add(disk_bytes_, -1);
  program_.add_row(vram_.terms, -kNoLimit, std::max(room.vram_bytes, 0.0) * kByteUnit);
  program_.add_row(host_.terms, -kNoLimit,
                   std::max(room.host_bytes, 0.0) * kByteUnit - host_.constant);
  add_disk(decode_);
  add_disk(prefill_);
  bound_time(decode_ms_, decode_);
  bound_time(prefill_ms_, prefill_);
}

TierProgram::Variables TierProgram::add_variables(const UnitClass& own, const TierRules& rules) {
  const double n = own.count(), on_gpu = own.on_cpu ? 0 : n;
  const double splits = rules.splits && own.split_bytes > 0 ? on_gpu : 0;
  const double streams = rules.streams ? on_gpu : 0;
  const double kv = own.attends && rules.kv != TierRules::Kv::kHost ? on_gpu : 0;
  const double least_kv = rules.kv == TierRules::Kv::kVram ? kv : 0;
  const auto whole = [&](double least, double most, double cost = 0) {
    return program_.add_variable(least, most, cost, true);
  };
  const auto real = [&](double most = kNoLimit, double cost = 0) {
    return program_.add_variable(0, most, cost, false);
  };
  Variables v{};
  v.resident = whole(0, on_gpu);
  v.streamed = whole(0, streams, kStreamCost);
  v.in_place = whole(0, n);
  v.split = whole(0, splits);
  v.split_vram = real();
  v.split_stream = real(rules.streams ? kNoLimit : 0, kStreamCost);
  v.split_time = real();
  v.kv = whole(least_kv, kv);
  v.kv_apart = real();
  v.prefill_on_cpu = whole(own.on_cpu ? n : 0, n);
  v.prefill_kv_apart = real();
  return v;
}

void TierProgram::add_counts(const UnitClass& own, const Variables& v) {
  program_.add_row({{v.resident, 1}, {v.streamed, 1}, {v.in_place, 1}, {v.split, 1}}, own.count(),
                   own.count());
  program_.add_row({{v.prefill_on_cpu, 1}, {v.in_place, -1}}, -kNoLimit, 0);
}

// What cannot be split of split units is in VRAM. Their products take as long as the slower side.
void TierProgram::add_split(const UnitClass& own, const Variables& v) {
  const double bytes = own.bytes * kByteUnit, can = own.split_bytes * kByteUnit;
  const double rest = bytes - can;
  program_.add_row({{v.split_vram, 1}, {v.split_stream, 1}, {v.split, -bytes}}, -kNoLimit, 0);
  program_.add_row({{v.split_vram, 1}, {v.split, -rest}}, 0, kNoLimit);
  const UnitCosts& d = own.decode;
  const double cpu = ratio((d.cpu_products_s + d.results_s) * kTimeUnit, can);
  const double gpu = ratio(d.gpu_products_s * kTimeUnit, can);
  program_.add_row(
      {{v.split_time, 1}, {v.split, -cpu * bytes}, {v.split_vram, cpu}, {v.split_stream, cpu}}, 0,
      kNoLimit);
  program_.add_row(
      {{v.split_time, 1}, {v.split, gpu * rest}, {v.split_vram, -gpu}, {v.split_stream, -gpu}}, 0,
      kNoLimit);
}

// |units on the GPU - layers with KV in VRAM|
void TierProgram::add_kv_apart(const UnitClass& own, const Variables& v) {
  for (const double sign : {1.0, -1.0}) {
    program_.add_row(
        {{v.kv_apart, 1}, {v.kv, -sign}, {v.resident, sign}, {v.streamed, sign}, {v.split, sign}},
        0, kNoLimit);
    program_.add_row({{v.prefill_kv_apart, 1}, {v.kv, -sign}, {v.prefill_on_cpu, -sign}},
                     -sign * own.count(), kNoLimit);
  }
}

void TierProgram::add_bytes(const UnitClass& own, const Variables& v) {
  const double bytes = own.bytes * kByteUnit;
  vram_.add(v.resident, bytes);
  vram_.add(v.split_vram, 1);
  host_.add(v.streamed, bytes);
  host_.add(v.in_place, bytes);
  host_.add(v.split, bytes);
  host_.add(v.split_vram, -1);
  if (!own.attends) return;
  vram_.add(v.kv, kv_);
  host_.add(v.kv, -kv_);
  host_.constant += own.count() * kv_;
}

void TierProgram::add_decode(const UnitClass& own, const Variables& v) {
  const UnitCosts& d = own.decode;
  const double bytes = own.bytes * kByteUnit;
  decode_.gpu.add(v.resident, d.gpu_s * kTimeUnit);
  // While a unit's last part arrives, nobody computes.
  const double arrival_ms = std::max(bytes - ring_, 0.0) * h2d_ms_;
  decode_.gpu.add(v.streamed, std::max(d.gpu_s * kTimeUnit, arrival_ms));
  decode_.gpu.add(v.split, (d.gpu_s - d.gpu_products_s + d.split_s) * kTimeUnit);
  decode_.gpu.add(v.kv, d.attention_gpu_s * kTimeUnit);
  decode_.gpu.add(v.kv_apart, apart_ms_);
  decode_.cpu.add(v.in_place, d.cpu_s * kTimeUnit);
  decode_.cpu.add(v.split_time, 1);
  decode_.cpu.add(v.kv, -d.attention_cpu_s * kTimeUnit);
  decode_.cpu.constant += own.count() * d.attention_cpu_s * kTimeUnit;
  decode_.h2d.add(v.streamed, bytes * h2d_ms_);
  decode_.h2d.add(v.split_stream, h2d_ms_);
  decode_.dram.add(v.streamed, bytes * dram_ms_);
  decode_.dram.add(v.in_place, bytes * dram_ms_);
  decode_.dram.add(v.split, bytes * dram_ms_);
  decode_.dram.add(v.split_vram, -dram_ms_);
  decode_.dram.add(v.kv, -d.kv_read_bytes * kByteUnit * dram_ms_);
  decode_.dram.constant += own.count() * d.kv_read_bytes * kByteUnit * dram_ms_;
}

// All on the GPU, what is not in VRAM streaming there, or on the CPU.
void TierProgram::add_prefill(const UnitClass& own, const Variables& v) {
  const UnitCosts& p = own.prefill;
  const double bytes = own.bytes * kByteUnit;
  prefill_.gpu.add(v.prefill_on_cpu, -p.gpu_s * kTimeUnit);
  prefill_.gpu.add(v.kv, p.attention_gpu_s * kTimeUnit);
  prefill_.gpu.add(v.prefill_kv_apart, apart_ms_);
  prefill_.gpu.constant += own.count() * p.gpu_s * kTimeUnit;
  prefill_.cpu.add(v.prefill_on_cpu, p.cpu_s * kTimeUnit);
  prefill_.cpu.add(v.kv, -p.attention_cpu_s * kTimeUnit);
  prefill_.cpu.constant += own.count() * p.attention_cpu_s * kTimeUnit;
  for (const auto& [sum, ms] : {std::pair{&prefill_.h2d, h2d_ms_}, {&prefill_.dram, dram_ms_}}) {
    sum->add(v.resident, -bytes * ms);
    sum->add(v.split_vram, -ms);
    sum->constant += own.count() * bytes * ms;
  }
  prefill_.h2d.add(v.prefill_on_cpu, -bytes * h2d_ms_);
}

// A byte from disk is written to memory and read again.
void TierProgram::add_disk(StepSums& step) {
  step.disk.add(disk_bytes_, ms_of_bytes(profile_.disk_bytes_per_s));
  step.dram.add(disk_bytes_, 2 * dram_ms_);
}

void TierProgram::bound_time(int time, const StepSums& step) {
  Sum chain = step.cpu;
  chain.constant += step.gpu.constant;
  chain.terms.insert(chain.terms.end(), step.gpu.terms.begin(), step.gpu.terms.end());
  for (const Sum* sum :
       std::initializer_list<const Sum*>{&chain, &step.h2d, &step.disk, &step.dram}) {
    std::vector<Term> terms = sum->terms;
    terms.push_back({time, -1});
    program_.add_row(terms, -kNoLimit, -sum->constant);
  }
}

double TierProgram::value(const Sum& sum, const std::vector<double>& x) const {
  double result = sum.constant;
  for (const Term& term : sum.terms)
    result += term.factor * x[static_cast<std::size_t>(term.variable)];
  return result;
}

std::optional<std::vector<TierCounts>> TierProgram::best(double prefill_weight) {
  program_.set_cost(decode_ms_, 1);
  program_.set_cost(prefill_ms_, prefill_weight);
  const auto x = program_.solve();
  if (!x) return std::nullopt;
  const auto real = [&](int variable) { return (*x)[static_cast<std::size_t>(variable)]; };
  const auto count = [&](int variable) { return std::llround(real(variable)); };
  std::vector<TierCounts> counts;
  for (const Variables& v : variables_) {
    counts.push_back({count(v.resident), count(v.streamed), count(v.in_place), count(v.split),
                      real(v.split_vram) / kByteUnit, real(v.split_stream) / kByteUnit, count(v.kv),
                      count(v.prefill_on_cpu)});
  }
  return counts;
}

TierProgram::Limit TierProgram::relaxed() {
  program_.set_cost(decode_ms_, 1);
  program_.set_cost(prefill_ms_, 0);
  const auto x = program_.solve(true);
  if (!x) return {};
  const double step_ms = (*x)[static_cast<std::size_t>(decode_ms_)];
  const bool mostly_cpu = value(decode_.cpu, *x) > value(decode_.gpu, *x);
  Limit limit{step_ms / kTimeUnit, mostly_cpu ? "cpu" : "gpu"};
  const auto full = [&](const Sum& sum) { return value(sum, *x) >= step_ms * (1 - 1e-6); };
  if (full(decode_.dram)) limit.by = "dram";
  if (full(decode_.h2d)) limit.by = "host_to_vram";
  if (full(decode_.disk)) limit.by = "disk_to_host";
  return limit;
}

TierTimes TierProgram::times(const std::vector<TierCounts>& counts) {
  program_.set_cost(decode_ms_, 1);
  program_.set_cost(prefill_ms_, 1);
  const auto fix = [&](int variable, double value) {
    program_.add_row({{variable, 1}}, value, value);
  };
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const Variables& v = variables_[i];
    fix(v.resident, static_cast<double>(counts[i].resident));
    fix(v.streamed, static_cast<double>(counts[i].streamed));
    fix(v.in_place, static_cast<double>(counts[i].in_place));
    fix(v.split, static_cast<double>(counts[i].split));
    fix(v.split_vram, counts[i].split_vram_bytes * kByteUnit);
    fix(v.split_stream, counts[i].split_stream_bytes * kByteUnit);
    fix(v.kv, static_cast<double>(counts[i].kv_in_vram));
    fix(v.prefill_on_cpu, static_cast<double>(counts[i].prefill_on_cpu));
  }
  const auto x = program_.solve(true);
  WINDLASS_CHECK(x.has_value(), counts.size());
  return {(*x)[static_cast<std::size_t>(decode_ms_)] / kTimeUnit,
          (*x)[static_cast<std::size_t>(prefill_ms_)] / kTimeUnit};
}

}  // namespace windlass
