// The two ways to attend, and which one a call takes.
#pragma once

#include "kernels/op_table.h"

namespace windlass {

// Steps of at least so many tokens go through tensor cores, where heads and types fit: below, a
// tile of 64 queries would be mostly empty, and memory is what is waited for.
inline constexpr std::int64_t kTensorTokens = 16;
inline constexpr std::int64_t kMostTensorKeyDim = 256;

// By the arguments alone, never by the range: so any split of the items gives the same bits.
constexpr bool on_tensor_cores(const AttentionArgs& args) {
  const auto fits = [](KvType type) { return type == KvType::kF16 || type == KvType::kQ8_0; };
  return args.tokens >= kTensorTokens && !args.exact_queries && !args.values_in_keys &&
         fits(args.types.keys) && fits(args.types.values) && args.key_dim % 16 == 0 &&
         args.value_dim % 16 == 0 && args.key_dim <= kMostTensorKeyDim;
}

void attend_in_floats(const AttentionArgs& args, DeviceRange range);
// REQUIRES: on_tensor_cores(args).
void attend_in_tiles(const AttentionArgs& args, DeviceRange range);

}  // namespace windlass
