// Latent attention (MLA; DeepSeek-V2, arXiv 2405.04434, section 2.1), written into a graph in its
// absorbed form: instead of making keys and values of each cached latent, queries are taken into
// the latent's space, and what attention gives back is taken out of it. The cache holds the latent
// and the rotated part of the key, for all heads at once.
#pragma once

#include "src/model/graph_writer.h"

namespace windlass {

class LatentPart {
 public:
  // Adds its buffers, none for a model without. All arguments must outlive it.
  LatentPart(const ModelSpec& spec, GraphWriter& writer);

  // From the normed residual to attention's output [n_heads, value_dim].
  void write(const LayerWeights& layer, const View& in, const View& out);

 private:
  void write_projections(const LayerWeights& layer, const View& in);
  void write_queries(const LatentWeights& weights);
  VectorMatrices key_matrices(const LatentWeights& weights) const;
  VectorMatrices value_matrices(const LatentWeights& weights) const;
  // A vector of each head, side by side in rows of `row_dim` a head, from column `first` on.
  View heads(const View& rows, std::int64_t first, std::int64_t width, std::int64_t row_dim) const;

  const ModelSpec& spec_;
  GraphWriter& writer_;
  View query_rank_;  // queries before q_b
  View query_;       // [n_heads, plain_dim + rotated_dim]
  View absorbed_;    // [n_heads, kv_rank + rotated_dim]
  View kv_;          // kv_rank, rotated_dim
  View mixed_;       // [n_heads, kv_rank]: attention over latents
};

}  // namespace windlass
