// Words for tensor cores, whole warps together: products of small matrices, loads of their operands
// from shared memory, and copies into it that run beside what threads do.
//
// A warp holds a matrix as a fragment: so many registers of each lane, as PTX ISA lays them out
// ("Matrix Fragments for mma.m16n8k16"). With g = lane / 4 and t = lane % 4, halves in pairs, the
// first one low:
//   A [16, 16]: a[0] = A[g, 2t..], a[1] = A[g + 8, 2t..], a[2] = A[g, 2t + 8..], a[3] = A[g + 8,
//     2t + 8..]
//   B [16, 8]: b0 = B[2t.., g], b1 = B[2t + 8.., g]
//   C [16, 8] of floats: c[0] = C[g, 2t], c[1] = C[g, 2t + 1], c[2] = C[g + 8, 2t], c[3] = C[g + 8,
//     2t + 1]
//
//   multiply_halves(c, a, b0, b1)   c += A B. Products of halves are exact and sums have at least
//                                   f32's precision, in an order of the card's own.
//   multiply_bf16(c, a, b0, b1)     the same of bf16 numbers.
//   multiply_bytes(c, a, b0, b1)    C += A B of integers: A [16, 32] and B [32, 8] of signed bytes,
//                                   fours for pairs: a[0] = A[g, 4t..], a[1] = A[g + 8, 4t..], a[2]
//                                   and a[3] the same 16 columns on; b0 = B[4t.., g], b1 the same
//                                   16 rows on. Sums wrap around at 32 bits.
//   multiply_bytes(c, a0, a1, b)    the same with A [16, 16] and B [16, 8].
//   load_tiles(r, row)              r[i] = the lane's pair of tile i of four [8, 8] of halves, pair
//                                   t of row g. Lane l gives the address of row l % 8 of tile l /
//                                   8: 16 bytes of shared memory, aligned.
//   load_tiles_transposed(r, row)   the same with columns for rows: of tile i the elements
//                                   [2t, g] and [2t + 1, g].
//   half_pair(low, high)            two floats as halves, to nearest even.
//   copy_async(to, from, real)      16 aligned bytes from global to shared memory, zeros where not
//                                   `real` (and `from` is not read then). Until the thread waits,
//                                   `to` is undefined; other threads need a barrier after that.
//   commit_copies()                 ends a group of the thread's copies, be it empty.
//   wait_for_copies<n>()            until all groups but the last n are there. Copies that are not
//                                   waited for before the thread ends are an error.
// All lanes of a warp run products and load_tiles together.
#pragma once

#ifdef __CUDACC__
#include "kernels/cuda_mma.h"
#else
#include "kernels/emulation/emulated_mma.h"
#endif
