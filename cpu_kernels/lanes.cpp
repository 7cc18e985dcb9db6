#include "cpu_kernels/lanes.h"

#include <numeric>

#include "src/base/check.h"

namespace windlass {

ThreadNodes::ThreadNodes(int n_threads, const std::vector<int>& cores_of_node) {
  WINDLASS_CHECK(n_threads >= 1 && !cores_of_node.empty(), n_threads, cores_of_node.size());
  const std::int64_t cores = std::accumulate(cores_of_node.begin(), cores_of_node.end(), 0LL);
  WINDLASS_CHECK(cores >= 1, cores);
  std::vector<std::int64_t> threads, remainders;
  std::int64_t left = n_threads;
  for (const int n : cores_of_node) {
    threads.push_back(std::int64_t{n_threads} * n / cores);
    remainders.push_back(std::int64_t{n_threads} * n % cores);
    left -= threads.back();
  }
  for (; left > 0; --left) {
    const auto most = std::max_element(remainders.begin(), remainders.end());
    ++threads[static_cast<std::size_t>(most - remainders.begin())];
    *most = -1;
  }
  std::int64_t end = 0;
  for (const std::int64_t n : threads) ends_.push_back(static_cast<int>(end += n));
}

ByteRange node_bytes(const ThreadNodes& nodes, int node, std::int64_t address,
                     std::int64_t size_bytes, std::int64_t page_bytes) {
  const auto border = [&](std::int64_t thread) {
    const bool outer = thread == 0 || thread == nodes.n_threads();
    const std::int64_t at = address + size_bytes * thread / nodes.n_threads();
    return (outer ? at : at + page_bytes / 2) / page_bytes * page_bytes - address;
  };
  return {border(nodes.begin(node)), border(nodes.end(node))};
}

}  // namespace windlass
