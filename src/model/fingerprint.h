// A model's fingerprint: what its sidecars and saved results are keyed by.
#pragma once

#include <cstdint>

#include "src/format/tensor_table.h"

namespace windlass {

// Of what the header says and of samples of every tensor's bytes (its beginning, middle and end):
// another model, another fine-tune of it and another quantisation have another fingerprint; a copy
// under another name, or in other shards, has the same. A change of a few weights may go unseen.
// Cost: reads up to 12 KiB of each tensor. Error(kIo) naming the file.
std::uint64_t model_fingerprint(const TensorTable& table);

}  // namespace windlass
