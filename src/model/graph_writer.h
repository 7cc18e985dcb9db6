// Writes a LayerGraph buffer by buffer and op by op: what every op of a transformer needs said, in one place. What a layer is
// made of stands in layer_graph.cpp.
#pragma once

#include <initializer_list>
#include <string>

#include "src/model/layer_graph.h"
#include "src/model/weight_map.h"

namespace windlass {

// A buffer as matmuls read it: f32, and its rounded forms where some weight takes them.
struct MatMulInput {
  View f32;
  BufferId q8 = kNoBuffer, bf16 = kNoBuffer;
};

// The matrices of a kByVector product.
struct VectorMatrices {
  TensorId weight = kNoTensor;
  MatrixRows rows;
  bool transposed = false;
};

class GraphWriter {
 public:
  GraphWriter(const ModelSpec& spec, const TensorTable& table, Activations activations)
      : spec_(spec), table_(table), activations_(activations) {}

  // Ops that follow are of this layer (-1: of none), and of these rows.
  void begin_layer(std::int32_t layer) { layer_ = layer; }
  void begin_rows(RowSet rows) { rows_ = rows; }

  View buffer(std::string name, std::int64_t width);
  View tiled_buffer(std::string name, std::int64_t width);

  // "attn_q" -> "blk.3.attn_q" inside a layer.
  std::string label(const std::string& part) const;
  GraphOp& op(OpKind kind, const std::string& part, const View& in, const View& out);

  void embed_rows(const std::string& part, TensorId weight, const View& out);
  void norm(const std::string& part, const Affine& norm, const View& in, const View& out);
  // `readers`: the weights that will read the input next. Adds a quantise op for each rounded form that one of them wants;
  // these live until the next call.
  MatMulInput matmul_input(const std::string& part, const View& in, std::initializer_list<Affine> readers);
  void linear(const std::string& part, const Affine& linear, const MatMulInput& in, const View& out, bool accumulate = false);
  // All products first, then the biases: products in a row can run together.
  struct Linear {
    std::string part;
    const Affine& linear;
    View out;
  };
  void linears(std::initializer_list<Linear> linears, const MatMulInput& in);
  // The product of each routed row with its expert's matrix. REQUIRES begin_rows(kRouted).
  void routed_linear(const std::string& part, const ExpertMatrices& matrices, const MatMulInput& in, const View& out);
  // The product of each vector of `in` with its own matrix: that vector of `out`. A transposed product takes f32.
  void linear_by_vector(const std::string& part, const VectorMatrices& matrices, const View& in, const View& out);

  // Numbers the independent products on the way out.
  LayerGraph take();

 private:
  // What a product with this weight takes its activations as.
  BufferKind form_for(TensorId weight) const;
  BufferId rounded(BufferKind kind, const std::string& part, const View& in, std::initializer_list<Affine> readers);
  BufferId rounded_buffer(BufferKind kind, std::int64_t width, std::int64_t vectors);
  GraphOp& product(const std::string& part, TensorId weight, const MatMulInput& in, const View& out);
  void add_bias(const std::string& part, TensorId bias, const View& out);
  bool rows_independent(const GraphOp& op) const;

  const ModelSpec& spec_;
  const TensorTable& table_;
  const Activations activations_;
  LayerGraph graph_;
  std::int32_t layer_ = -1;
  RowSet rows_ = RowSet::kTokens;
};

}  // namespace windlass
