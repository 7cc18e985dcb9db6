// Where ops run: on the team of CPU threads, or on a stream of the GPU. What binds ops to memory
// (op_binder.h) is written once for both.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "cpu_kernels/op_table.h"
#include "kernels/op_table.h"
#include "pipeline/gpu_tables.h"
#include "pipeline/step.h"
#include "src/base/check.h"

namespace windlass {

// Ops have ended when a call returns.
struct CpuBackend {
  using Where = WorkRange;
  const OpTable& ops;
  Team& team;

  template <typename Args>
  void run(void (*function)(const Args&, WorkRange), const Args& args) const {
    run_op(team, function, args);
  }
  // What shares an op's items: where each has more than a few, none waits for long.
  std::int64_t lanes() const { return team.n_threads(); }
  // Of a span of the step. `filled` stands for all keys that its rows see, and must live as long as
  // the op where it is what comes back.
  std::byte* const* pages(const StepInput& step, std::size_t span, std::int64_t layer) const {
    return step.spans[span].kv->pages(layer);
  }
  const KvSegment* segment(std::size_t, std::int64_t, const KvSegment& filled) const {
    return &filled;
  }
};

// Ops have been put on the stream when a call returns. What their arguments point to is memory of
// the device.
struct GpuBackend {
  using Where = DeviceRange;
  const DeviceOpTable& ops;
  Stream stream;
  const GpuTables& tables;  // of the step
  std::int64_t multiprocessors = 1;

  template <typename Args>
  void run(void (*function)(const Args&, DeviceRange), const Args& args) const {
    run(function, args, op_items(args));
  }
  template <typename Args>
  void run(void (*function)(const Args&, DeviceRange), const Args& args, std::int64_t items) const {
    function(args, {0, items, stream});
  }
  std::int64_t lanes() const { return multiprocessors; }
  std::byte* const* pages(const StepInput&, std::size_t span, std::int64_t layer) const {
    return tables.pages(span, layer);
  }
  const KvSegment* segment(std::size_t span, std::int64_t layer, const KvSegment&) const {
    return tables.segment(span, layer);
  }
};

// Ops of one kind that may run side by side; on the team in one region, which costs as much as a
// small op. Up to Team::kMostJobs ops and their arguments, which live here until run() returns.
// None may read or write what another writes. Ops that were added and not run are dropped.
template <typename Backend, typename Args>
class JobBatch {
 public:
  explicit JobBatch(const Backend& backend) : backend_(backend) {}
  JobBatch(const JobBatch&) = delete;
  JobBatch& operator=(const JobBatch&) = delete;

  std::size_t size() const { return size_; }
  bool full() const { return size_ == Team::kMostJobs; }
  // REQUIRES !full().
  void add(void (*function)(const Args&, typename Backend::Where), const Args& args) {
    add(function, args, op_items(args));
  }
  // With the op's items where they cannot be told from the arguments on the host.
  void add(void (*function)(const Args&, typename Backend::Where), const Args& args,
           std::int64_t items) {
    WINDLASS_CHECK(!full(), size_);
    args_[size_] = args;
    items_[size_] = items;
    functions_[size_] = function;
    ++size_;
  }
  // All of them; none is left.
  void run();

 private:
  const Backend& backend_;
  std::size_t size_ = 0;
  std::array<Args, Team::kMostJobs> args_;
  std::array<std::int64_t, Team::kMostJobs> items_;
  std::array<void (*)(const Args&, typename Backend::Where), Team::kMostJobs> functions_;
};

template <typename Backend, typename Args>
void JobBatch<Backend, Args>::run() {
  if constexpr (std::is_same_v<Backend, CpuBackend>) {
    std::array<Team::Job, Team::kMostJobs> jobs;
    for (std::size_t i = 0; i < size_; ++i)
      jobs[i] = op_job(backend_.team, functions_[i], args_[i]);
    backend_.team.run(std::span(jobs).first(size_));
  } else {
    for (std::size_t i = 0; i < size_; ++i) backend_.run(functions_[i], args_[i], items_[i]);
  }
  size_ = 0;
}

}  // namespace windlass
