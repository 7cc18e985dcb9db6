// The tables in host memory.
#include "src/ops/codebooks.h"

#include "src/ops/codebook_data.h"

namespace windlass {

constinit const Codebook<std::uint64_t, 256> kIq2XxsVectors = codebook_data::kIq2Xxs;
constinit const Codebook<std::uint64_t, 512> kIq2XsVectors = codebook_data::kIq2Xs;
constinit const Codebook<std::uint64_t, 1024> kIq2SVectors = codebook_data::kIq2S;
constinit const Codebook<std::uint32_t, 256> kIq3XxsVectors = codebook_data::kIq3Xxs;
constinit const Codebook<std::uint32_t, 512> kIq3SVectors = codebook_data::kIq3S;
constinit const Codebook<std::uint64_t, 2048> kIq1Vectors = codebook_data::kIq1;
constinit const Codebook<std::uint64_t, 256> kSignMasks = codebook_data::sign_masks<256>();
constinit const Codebook<std::uint64_t, 128> kEvenSignMasks = codebook_data::sign_masks<128>();

}  // namespace windlass
