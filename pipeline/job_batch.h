// Ops of one kind that run in one region of the team: a region costs as much as a small op.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "cpu_kernels/op_table.h"
#include "src/base/check.h"

namespace windlass {

// Up to Team::kMostJobs ops and their arguments, which live here until run() returns. None may read
// or write what another writes. Ops that were added and not run are dropped.
template <typename Args>
class JobBatch {
 public:
  explicit JobBatch(Team& team) : team_(team) {}
  JobBatch(const JobBatch&) = delete;
  JobBatch& operator=(const JobBatch&) = delete;

  std::size_t size() const { return size_; }
  bool full() const { return size_ == Team::kMostJobs; }
  // REQUIRES !full().
  void add(void (*function)(const Args&, WorkRange), const Args& args) {
    WINDLASS_CHECK(!full(), size_);
    args_[size_] = args;
    jobs_[size_] = op_job(team_, function, args_[size_]);
    ++size_;
  }
  // All of them; none is left.
  void run() {
    team_.run(std::span(jobs_).first(size_));
    size_ = 0;
  }

 private:
  Team& team_;
  std::size_t size_ = 0;
  std::array<Args, Team::kMostJobs> args_;
  std::array<Team::Job, Team::kMostJobs> jobs_;
};

}  // namespace windlass
