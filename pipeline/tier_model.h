// A model's units as the planner's program sees them: what each class of them weighs and costs.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "pipeline/cost_model.h"
#include "pipeline/model_units.h"
#include "pipeline/tier_program.h"

namespace windlass {

class TierModel {
 public:
  // REQUIRES a profile with a GPU. blocks outlives it.
  TierModel(const CostModelParts& parts, const BlockTable& blocks,
            const std::vector<ModelUnit>& units, const StepLoad& decode, const StepLoad& prefill);
  const std::vector<UnitClass>& classes() const { return classes_; }
  TierProgram program(const TierRoom& room, const TierRules& rules = {}) const {
    return TierProgram(classes_, room, rules, parts_.profile);
  }

 private:
  UnitClass class_of(const ModelUnit& unit, const StepLoad& decode, const StepLoad& prefill) const;
  UnitCosts costs_of(const ModelUnit& unit, const StepLoad& load) const;
  void add_split_costs(const ModelUnit& unit, const StepLoad& load, UnitCosts& costs) const;
  double held_bytes(const ModelUnit& unit, bool only_split) const;

  CostModelParts parts_;
  CostModel costs_;
  const BlockTable& blocks_;
  std::vector<UnitClass> classes_;
};

// An entry that does all of an op.
ComputeEntry whole_entry(const LayerGraph& graph, const TensorTable& tensors, std::int32_t op);

}  // namespace windlass
