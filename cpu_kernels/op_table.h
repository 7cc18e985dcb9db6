// The CPU backend: an op table per ISA, picked at run time, and the team of threads that runs ops.
// This is the one header that the pipeline includes from here.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/ops/op_table.h"

namespace windlass {

enum class Isa : std::uint8_t { kScalar, kAvx2, kAvx512, kAvx512Vnni };
inline constexpr Isa kAllIsas[] = {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Vnni};

const char* isa_name(Isa isa);                    // "avx512vnni"
std::optional<Isa> isa_by_name(std::string_view name);
bool isa_present(Isa isa);                        // CPU and OS (XCR0) both
Isa best_isa();
// What `isa` needs and this machine lacks, such as "avx512_vnni"; empty if present.
std::string missing_features(Isa isa);
// Name "" picks the best. Error(kUsage) for an unknown name (lists the known), Error(kUnsupported) for one that this
// machine lacks (names the missing CPU feature and the best present).
Isa choose_isa(std::string_view name);

// REQUIRES: isa_present(isa).
const OpTable& cpu_op_table(Isa isa);

// Cores this process may use: affinity mask and cgroup CPU quota, at least 1.
int usable_cores();

// A team of threads that runs one op at a time: the caller and n_threads - 1 helpers from a oneTBB arena claim chunks of
// the op's items. Helpers spin briefly between ops, then sleep, so a step that waits for the disk burns no core.
// An op ends when its last chunk ends; the team never waits for a helper that has not started, so it cannot deadlock
// where oneTBB gives fewer threads. Results do not depend on the number of threads.
// Owner-thread: run() from one thread at a time. Cost of an empty op: under 2 us on two cores.
class Team {
 public:
  explicit Team(int n_threads);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;
  int n_threads() const { return n_threads_; }

  // Runs function(args, [begin, end)) over all of [0, items) in chunks of `grain` items (the last may be shorter).
  template <typename Args>
  void run(void (*function)(const Args&, WorkRange), const Args& args, std::int64_t items, std::int64_t grain) {
    run_erased({&invoke<Args>, reinterpret_cast<void (*)()>(function), &args}, items, grain);
  }

 private:
  struct Job {
    void (*invoke)(void (*function)(), const void* args, WorkRange range);
    void (*function)();
    const void* args;
  };
  template <typename Args>
  static void invoke(void (*function)(), const void* args, WorkRange range) {
    reinterpret_cast<void (*)(const Args&, WorkRange)>(function)(*static_cast<const Args*>(args), range);
  }
  void run_erased(const Job& job, std::int64_t items, std::int64_t grain);

  struct State;
  int n_threads_;
  std::unique_ptr<State> state_;
};

}  // namespace windlass
