#include "pipeline/tier_model.h"

#include <algorithm>
#include <cmath>

#include "pipeline/expert_runs.h"
#include "pipeline/placement.h"
#include "src/base/check.h"
#include "src/base/units.h"

namespace windlass {

namespace {

// The program's own units: numbers of about 1.
constexpr double kByteUnit = 1.0 / (64 << 20);  // of 64 MiB
constexpr double kTimeUnit = 1e3;               // milliseconds

double ratio(double work, double rate) { return rate > 0 ? work / rate : 0; }

// In VRAM or memory a tensor's ends are rounded out to 4 KiB.
double held_bytes(const LayerGraph& graph, const BlockTable& blocks, const ModelUnit& unit,
                  bool splittable, const TensorTable& tensors) {
  double bytes = 0;
  std::vector<TensorId> seen;
  for (std::int32_t i = unit.first_op; i < unit.end_op; ++i) {
    const GraphOp& op = graph.ops[static_cast<std::size_t>(i)];
    if (op.weight == kNoTensor || fetches_rows(op.kind) || has_experts(op)) continue;
    if (splittable && !can_split(op, tensors)) continue;
    if (std::find(seen.begin(), seen.end(), op.weight) != seen.end()) continue;
    seen.push_back(op.weight);
    const BlockRange range = blocks.of_tensor(op.weight);
    if (is_small(blocks, range.first)) continue;
    bytes += static_cast<double>(make_run(blocks, range).aligned.size_bytes);
  }
  return bytes;
}

}  // namespace

ComputeEntry whole_entry(const LayerGraph& graph, const TensorTable& tensors, std::int32_t op) {
  const GraphOp& graph_op = graph.ops[static_cast<std::size_t>(op)];
  ComputeEntry entry;
  entry.op = op;
  if (graph_op.kind == OpKind::kMatMul) entry.n_rows = tensors.at(graph_op.weight).n_rows();
  if (graph_op.in.present() && graph.buffer(graph_op.in.buffer).tiled)
    entry.n_rows = graph.buffer(graph_op.in.buffer).width;
  return entry;
}

TierModel::TierModel(const CostModelParts& parts, const BlockTable& blocks,
                     const std::vector<ModelUnit>& units, const StepLoad& decode,
                     const StepLoad& prefill)
    : parts_(parts), costs_(parts), blocks_(blocks) {
  for (std::size_t i = 0; i < units.size(); ++i) {
    UnitClass own = class_of(units[i], decode, prefill);
    const auto alike = std::find_if(classes_.begin(), classes_.end(), [&](const UnitClass& other) {
      return other.bytes == own.bytes && other.on_cpu == own.on_cpu &&
             other.attends == own.attends && other.decode == own.decode &&
             other.prefill == own.prefill;
    });
    UnitClass& into = alike == classes_.end() ? classes_.emplace_back(std::move(own)) : *alike;
    into.units.push_back(static_cast<std::int32_t>(i));
  }
}

UnitClass TierModel::class_of(const ModelUnit& unit, const StepLoad& decode,
                              const StepLoad& prefill) const {
  UnitClass own;
  own.bytes = held_bytes(parts_.graph, blocks_, unit, false, parts_.tensors);
  own.split_bytes = held_bytes(parts_.graph, blocks_, unit, true, parts_.tensors);
  own.attends = unit.attention_op >= 0;
  own.on_cpu = unit.on_cpu;
  own.decode = costs_of(unit, decode);
  own.prefill = costs_of(unit, prefill);
  return own;
}

UnitCosts TierModel::costs_of(const ModelUnit& unit, const StepLoad& load) const {
  UnitCosts costs;
  for (std::int32_t i = unit.first_op; i < unit.end_op; ++i) {
    const GraphOp& op = parts_.graph.ops[static_cast<std::size_t>(i)];
    const ComputeEntry entry = whole_entry(parts_.graph, parts_.tensors, i);
    if (has_experts(op)) continue;  // alike in any plan, and far more than one entry
    const double cpu_s = costs_.compute_s(entry, load);
    if (cpu_only(op)) {
      costs.cpu_s += cpu_s;
      costs.gpu_s += cpu_s;
      continue;
    }
    const double gpu_s = costs_.gpu_s(entry, load);
    if (op.kind == OpKind::kAttention) {
      costs.attention_cpu_s += cpu_s;
      costs.attention_gpu_s += gpu_s;
      costs.kv_read_bytes += costs_.work(entry, load).kv_bytes;
      continue;
    }
    costs.cpu_s += cpu_s;
    costs.gpu_s += gpu_s;
    if (!can_split(op, parts_.tensors)) continue;
    costs.cpu_products_s += cpu_s;
    costs.gpu_products_s += gpu_s;
  }
  costs.split_s = split_s(unit, load);
  return costs;
}

// A split product's input goes to the CPU, whose results come back: latencies, and the input's
// bytes. (The results' depend on the split.)
double TierModel::split_s(const ModelUnit& unit, const StepLoad& load) const {
  double seconds = 0;
  for (const auto& group : product_groups(parts_.graph, parts_.tensors, unit)) {
    const GraphOp& op = parts_.graph.ops[static_cast<std::size_t>(group.front())];
    const BufferMove input{op.in.buffer, Processor::kCpu, 0, 0, 0};
    seconds += costs_.gpu().d2h_latency_s + costs_.gpu().h2d_latency_s +
               costs_.d2h_s(costs_.move_bytes(input, load));
  }
  return seconds;
}

// Of one class, numbers of variables.
struct TierModel::Variables {
  int resident, streamed, in_place, split;
  int split_bytes, split_time;
  int kv, kv_apart;  // layers with their KV in VRAM; those computed elsewhere than their KV is
  int prefill_on_cpu, prefill_kv_apart;
};

struct TierModel::Program {
  LinearProgram program;
  std::vector<Variables> classes;
  int decode, prefill;  // times
  int disk_bytes;
  struct Row {
    std::vector<LinearProgram::Term> terms;
    double constant;
  };
  std::vector<std::pair<const char*, Row>> decode_rows;  // by resource: what it takes
};

namespace {

using Term = LinearProgram::Term;

// Terms of rows "time >= ..." as they add up over classes: sum - time <= 0.
struct Rows {
  std::vector<Term> chain, h2d, disk, dram;
};

}  // namespace

TierModel::Program TierModel::make_program(const TierRoom& room, const TierRules& rules) const {
  Program made;
  LinearProgram& program = made.program;
  made.decode = program.add_variable(0, kNoLimit, 0, false);
  made.prefill = program.add_variable(0, kNoLimit, 0, false);
  made.disk_bytes = program.add_variable(0, kNoLimit, 0, false);
  const double kv = room.kv_bytes * kByteUnit;
  const GpuProfile& gpu = costs_.gpu();
  const double apart_s = (gpu.d2h_latency_s + gpu.h2d_latency_s) * kTimeUnit;
  Rows decode, prefill;
  std::vector<Term> vram, host;
  for (const UnitClass& own : classes_) {
    const double n = own.count(), bytes = own.bytes * kByteUnit;
    const double on_gpu = own.on_cpu ? 0 : n;
    const double splits = own.on_cpu || own.split_bytes <= 0 || !rules.splits ? 0 : n;
    const double kv_layers = own.attends && !own.on_cpu && rules.kv != TierRules::Kv::kHost ? n : 0;
    const double least_kv = rules.kv == TierRules::Kv::kVram ? kv_layers : 0;
    const bool costs_kv = own.attends;
    const Variables v = {program.add_variable(0, on_gpu, 0, true),
                         program.add_variable(0, rules.streams ? on_gpu : 0, 0, true),
                         program.add_variable(0, n, 0, true),
                         program.add_variable(0, splits, 0, true),
                         program.add_variable(0, kNoLimit, 0, false),
                         program.add_variable(0, kNoLimit, 0, false),
                         program.add_variable(least_kv, kv_layers, 0, true),
                         program.add_variable(0, kNoLimit, 0, false),
                         program.add_variable(own.on_cpu ? n : 0, n, 0, true),
                         program.add_variable(0, kNoLimit, 0, false)};
    made.classes.push_back(v);
    program.add_row({{v.resident, 1}, {v.streamed, 1}, {v.in_place, 1}, {v.split, 1}}, n, n);
    // Parts of split units: their other weights are in VRAM whole.
    const double can = own.split_bytes * kByteUnit, rest = bytes - can;
    program.add_row({{v.split_bytes, 1}, {v.split, -bytes}}, -kNoLimit, 0);
    program.add_row({{v.split_bytes, 1}, {v.split, -rest}}, 0, kNoLimit);
    const double cpu_s = ratio(own.decode.cpu_products_s * kTimeUnit, can);
    const double gpu_s = ratio(own.decode.gpu_products_s * kTimeUnit, can);
    program.add_row({{v.split_time, 1}, {v.split, -cpu_s * bytes}, {v.split_bytes, cpu_s}}, 0,
                    kNoLimit);
    program.add_row({{v.split_time, 1}, {v.split_bytes, -gpu_s}, {v.split, gpu_s * rest}}, 0,
                    kNoLimit);
    program.add_row({{v.prefill_on_cpu, 1}, {v.in_place, -1}}, -kNoLimit, 0);
    if (costs_kv) {
      const std::vector<Term> on_gpu_less_kv = {
          {v.kv, -1}, {v.resident, 1}, {v.streamed, 1}, {v.split, 1}};
      for (const double sign : {1.0, -1.0}) {
        std::vector<Term> row = {{v.kv_apart, 1}};
        for (const Term& term : on_gpu_less_kv) row.push_back({term.variable, sign * term.factor});
        program.add_row(row, 0, kNoLimit);
        // prefill: n - on the CPU are on the GPU
        program.add_row({{v.prefill_kv_apart, 1}, {v.kv, -sign}, {v.prefill_on_cpu, -sign}},
                        -sign * n, kNoLimit);
      }
    }

    vram.insert(vram.end(), {{v.resident, bytes}, {v.split_bytes, 1}, {v.kv, kv}});
    host.insert(host.end(), {{v.streamed, bytes},
                             {v.in_place, bytes},
                             {v.split, bytes},
                             {v.split_bytes, -1},
                             {v.kv, -kv}});
    const UnitCosts &d = own.decode, &p = own.prefill;
    const double plain_s = d.gpu_s - d.gpu_products_s + d.split_s;
    decode.chain.insert(decode.chain.end(),
                        {{v.resident, d.gpu_s * kTimeUnit},
                         {v.streamed, d.gpu_s * kTimeUnit},
                         {v.in_place, d.cpu_s * kTimeUnit},
                         {v.split, plain_s * kTimeUnit},
                         {v.split_time, 1},
                         {v.kv, (d.attention_gpu_s - d.attention_cpu_s) * kTimeUnit},
                         {v.kv_apart, apart_s}});
    decode.h2d.push_back({v.streamed, ratio(own.bytes, gpu.h2d_bytes_per_s) * kTimeUnit});
    const double dram_s = ratio(kTimeUnit / kByteUnit, parts_.profile.dram_bytes_per_s);
    decode.dram.insert(decode.dram.end(), {{v.streamed, bytes * dram_s},
                                           {v.in_place, bytes * dram_s},
                                           {v.split, bytes * dram_s},
                                           {v.split_bytes, -dram_s},
                                           {v.kv, -d.kv_read_bytes * kByteUnit * dram_s}});
    prefill.chain.insert(prefill.chain.end(),
                         {{v.prefill_on_cpu, (p.cpu_s - p.gpu_s) * kTimeUnit},
                          {v.kv, (p.attention_gpu_s - p.attention_cpu_s) * kTimeUnit},
                          {v.prefill_kv_apart, apart_s}});
    const double h2d_s = ratio(kTimeUnit / kByteUnit, gpu.h2d_bytes_per_s);
    prefill.h2d.insert(prefill.h2d.end(), {{v.resident, -bytes * h2d_s},
                                           {v.split_bytes, -h2d_s},
                                           {v.prefill_on_cpu, -bytes * h2d_s}});
    prefill.dram.insert(prefill.dram.end(),
                        {{v.resident, -bytes * dram_s}, {v.split_bytes, -dram_s}});
  }
  // What does not depend on the choice.
  double decode_s = 0, prefill_s = 0, prefill_bytes = 0, kv_read = 0, host_kv = 0;
  for (const UnitClass& own : classes_) {
    decode_s += own.count() * own.decode.attention_cpu_s;
    prefill_s += own.count() * (own.prefill.gpu_s + own.prefill.attention_cpu_s);
    prefill_bytes += own.count() * own.bytes;
    kv_read += own.count() * own.decode.kv_read_bytes;
    if (own.attends) host_kv += own.count() * kv;
  }
  program.add_row(vram, -kNoLimit, std::max(room.vram_bytes, 0.0) * kByteUnit);
  host.push_back({made.disk_bytes, -1});
  program.add_row(host, -kNoLimit, std::max(room.host_bytes, 0.0) * kByteUnit - host_kv);
  const double disk_s = ratio(kTimeUnit / kByteUnit, parts_.profile.disk_bytes_per_s);
  const double dram = parts_.profile.dram_bytes_per_s;
  const auto at_least = [&](int time, std::vector<Term> terms, double constant) {
    terms.push_back({time, -1});
    program.add_row(terms, -kNoLimit, -constant);
  };
  at_least(made.decode, decode.chain, decode_s * kTimeUnit);
  decode.dram.push_back({made.disk_bytes, 2 * ratio(kTimeUnit / kByteUnit, dram)});
  made.decode_rows = {{"dram", {decode.dram, ratio(kv_read, dram) * kTimeUnit}},
                      {"disk_to_host", {{{made.disk_bytes, disk_s}}, 0}},
                      {"host_to_vram", {decode.h2d, 0}}};
  for (const auto& [name, row] : made.decode_rows) at_least(made.decode, row.terms, row.constant);
  at_least(made.prefill, prefill.chain, prefill_s * kTimeUnit);
  at_least(made.prefill, prefill.h2d, ratio(prefill_bytes, gpu.h2d_bytes_per_s) * kTimeUnit);
  at_least(made.prefill, {{made.disk_bytes, disk_s}}, 0);
  prefill.dram.push_back({made.disk_bytes, 2 * ratio(kTimeUnit / kByteUnit, dram)});
  at_least(made.prefill, prefill.dram, ratio(prefill_bytes, dram) * kTimeUnit);
  return made;
}

std::optional<std::vector<TierCounts>> TierModel::solve(const TierRoom& room,
                                                        const TierRules& rules,
                                                        double prefill_weight) const {
  Program made = make_program(room, rules);
  made.program.set_cost(made.decode, 1);
  made.program.set_cost(made.prefill, prefill_weight);
  const auto x = made.program.solve();
  if (!x) return std::nullopt;
  const auto count = [&](int variable) {
    return std::llround((*x)[static_cast<std::size_t>(variable)]);
  };
  std::vector<TierCounts> counts;
  for (const Variables& v : made.classes) {
    counts.push_back({count(v.resident), count(v.streamed), count(v.in_place), count(v.split),
                      (*x)[static_cast<std::size_t>(v.split_bytes)] / kByteUnit, count(v.kv),
                      count(v.prefill_on_cpu)});
  }
  return counts;
}

TierModel::Limit TierModel::bound(const TierRoom& room) const {
  Program made = make_program(room, {});
  made.program.set_cost(made.decode, 1);
  const auto x = made.program.solve(true);
  if (!x) return {};
  const double decode = (*x)[static_cast<std::size_t>(made.decode)];
  Limit limit{decode / kTimeUnit, "chain"};
  // The row that has no slack, links before the chain.
  for (const auto& [name, row] : made.decode_rows) {
    double sum = row.constant;
    for (const Term& term : row.terms)
      sum += term.factor * (*x)[static_cast<std::size_t>(term.variable)];
    if (sum >= decode * (1 - 1e-6)) limit.by = name;
  }
  return limit;
}

TierTimes TierModel::times(const std::vector<TierCounts>& counts, const TierRoom& room) const {
  Program made = make_program(room, {});
  made.program.set_cost(made.decode, 1);
  made.program.set_cost(made.prefill, 1);
  const auto fix = [&](int variable, double value) {
    made.program.add_row({{variable, 1}}, value, value);
  };
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const Variables& v = made.classes[i];
    fix(v.resident, static_cast<double>(counts[i].resident));
    fix(v.streamed, static_cast<double>(counts[i].streamed));
    fix(v.in_place, static_cast<double>(counts[i].in_place));
    fix(v.split, static_cast<double>(counts[i].split));
    fix(v.split_bytes, counts[i].split_vram_bytes * kByteUnit);
    fix(v.kv, static_cast<double>(counts[i].kv_in_vram));
    fix(v.prefill_on_cpu, static_cast<double>(counts[i].prefill_on_cpu));
  }
  const auto x = made.program.solve(true);
  WINDLASS_CHECK(x.has_value(), counts.size());
  return {(*x)[static_cast<std::size_t>(made.decode)] / kTimeUnit,
          (*x)[static_cast<std::size_t>(made.prefill)] / kTimeUnit};
}

}  // namespace windlass
