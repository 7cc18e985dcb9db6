// The words that kernels are written in. nvcc takes them as CUDA; any other compiler gets the same
// words from the emulation, so that each .cu file is one source for the card and for tests on the
// CPU. Kernels are one-dimensional, have blocks of whole warps, take their shared memory from
// shared_memory<T>() and are started by launch().
#pragma once

#ifdef __CUDACC__
#include "kernels/cuda_words.h"
// Before a loop whose index has to be a constant, as that of an array in registers has.
#define WINDLASS_UNROLL _Pragma("unroll")
#else
#include "kernels/emulation/emulated_words.h"
#define WINDLASS_UNROLL
#endif

namespace windlass {

inline constexpr int kWarpLanes = 32;
inline constexpr unsigned kAllLanes = 0xffffffffu;

}  // namespace windlass
