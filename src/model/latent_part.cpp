#include "src/model/latent_part.h"

namespace windlass {

LatentPart::LatentPart(const ModelSpec& spec, GraphWriter& writer) : spec_(spec), writer_(writer) {
  if (!spec.latent) return;
  const LatentSpec& latent = *spec.latent;
  if (latent.q_rank > 0) query_rank_ = writer_.buffer("query_rank", latent.q_rank);
  query_ = writer_.buffer("query", spec.n_heads * latent.query_dim());
  absorbed_ = writer_.buffer("absorbed_query", spec.q_dim());
  kv_ = writer_.buffer("latent", spec.head_dim);
  mixed_ = writer_.buffer("mixed_latents", spec.attention_dim());
}

View LatentPart::heads(const View& rows, std::int64_t first, std::int64_t width,
                       std::int64_t row_dim) const {
  return {rows.buffer, first, width, spec_.n_heads, spec_.n_heads, 0, row_dim};
}

void LatentPart::write_projections(const LayerWeights& layer, const View& in) {
  const LatentWeights& weights = layer.latent;
  const Affine& first = weights.q_a.present() ? weights.q_a : layer.q;
  const MatMulInput input = writer_.matmul_input("attn_norm", in, {first, weights.kv_a});
  writer_.linear("attn_kv_a_mqa", weights.kv_a, input, kv_);
  if (!weights.q_a.present()) return writer_.linear("attn_q", layer.q, input, query_);
  writer_.linear("attn_q_a", weights.q_a, input, query_rank_);
  writer_.norm("attn_q_a_norm", weights.q_a_norm, query_rank_, query_rank_);
  writer_.linear("attn_q_b", weights.q_b,
                 writer_.matmul_input("attn_q_a_norm", query_rank_, {weights.q_b}), query_);
}

VectorMatrices LatentPart::key_matrices(const LatentWeights& weights) const {
  const LatentSpec& latent = *spec_.latent;
  if (weights.k_b != kNoTensor) {
    return {weights.k_b, {0, latent.kv_rank, latent.kv_rank}, false};
  }
  return {weights.kv_b, {0, latent.plain_dim + latent.value_dim, latent.plain_dim}, true};
}

VectorMatrices LatentPart::value_matrices(const LatentWeights& weights) const {
  const LatentSpec& latent = *spec_.latent;
  if (weights.v_b != kNoTensor) {
    return {weights.v_b, {0, latent.value_dim, latent.value_dim}, false};
  }
  const std::int64_t stride = latent.plain_dim + latent.value_dim;
  return {weights.kv_b, {latent.plain_dim, stride, latent.value_dim}, false};
}

// A query's plain part through its head's matrix, its rotated part beside it.
void LatentPart::write_queries(const LatentWeights& weights) {
  const LatentSpec& latent = *spec_.latent;
  const std::int64_t plain = latent.plain_dim, rotated = latent.rotated_dim, rank = latent.kv_rank;
  writer_.linear_by_vector("attn_k_b", key_matrices(weights),
                           heads(query_, 0, plain, latent.query_dim()),
                           heads(absorbed_, 0, rank, spec_.head_dim));
  writer_.op(OpKind::kRope, "rope_q", heads(query_, plain, rotated, latent.query_dim()),
             heads(absorbed_, rank, rotated, spec_.head_dim));
}

void LatentPart::write(const LayerWeights& layer, const View& in, const View& out) {
  const LatentSpec& latent = *spec_.latent;
  write_projections(layer, in);
  const View cached{.buffer = kv_.buffer, .column = 0, .width = latent.kv_rank};
  const View turned{.buffer = kv_.buffer, .column = latent.kv_rank, .width = latent.rotated_dim};
  writer_.norm("attn_kv_a_norm", layer.latent.kv_a_norm, cached, cached);
  writer_.op(OpKind::kRope, "rope_k", turned, turned);
  write_queries(layer.latent);
  writer_.op(OpKind::kKvAppend, "kv_append", kv_, {}).in2 = cached;
  writer_
      .op(OpKind::kAttention, "attention", heads(absorbed_, 0, spec_.head_dim, spec_.head_dim),
          mixed_)
      .scale = spec_.attention_scale;
  writer_.linear_by_vector("attn_v_b", value_matrices(layer.latent),
                           heads(mixed_, 0, latent.kv_rank, latent.kv_rank),
                           heads(out, 0, latent.value_dim, latent.value_dim));
}

}  // namespace windlass
