// The feed-forward part of a mixture of experts, written into a graph: route the rows, gather them
// by expert, run the experts, bring their results home.
#pragma once

#include "src/model/graph_writer.h"

namespace windlass {

class ExpertPart {
 public:
  // Adds its buffers, none for a dense model. Both arguments must outlive it.
  ExpertPart(const ModelSpec& spec, GraphWriter& writer);

  // From here on the step knows which experts it needs. What is written between the two calls has
  // their reads as company.
  void write_routing(const LayerWeights& layer, const View& in);
  // out += each row's experts.
  void write_experts(const LayerWeights& layer, const View& in, const View& out);

 private:
  const ModelSpec& spec_;
  GraphWriter& writer_;
  View scores_, rows_, gate_, up_;
};

}  // namespace windlass
