#include "src/model/expert_spec.h"

#include "src/base/error.h"

namespace windlass {
namespace {

class ExpertReader {
 public:
  ExpertReader(const TensorTable& table, const Metadata& metadata, const ModelSpec& spec)
      : table_(table), metadata_(metadata), model_(spec) {}

  ExpertSpec read();

 private:
  std::int64_t count() const;
  void read_sizes();
  void read_groups();
  void read_shares();

  const TensorTable& table_;
  const Metadata& metadata_;
  const ModelSpec& model_;
  ExpertSpec spec_;
};

std::int64_t ExpertReader::count() const {
  const Architecture& arch = *model_.arch;
  const std::int64_t n = arch.experts == Presence::kYes
                             ? metadata_.require_int("expert_count", kMaxPosition)
                             : metadata_.int_or("expert_count", 0, kMaxPosition, 0);
  if (n > 0 && arch.experts == Presence::kNo) {
    fail(ErrorCode::kUnsupported,
         "{}: a mixture of {} experts ('{}') is not supported for {}, which has dense models only",
         table_.path(), n, metadata_.key("expert_count"), arch.name);
  }
  if (n > kMaxExperts) {
    fail(ErrorCode::kUnsupported, "{}: {} experts ('{}'); at most {} are supported", table_.path(),
         n, metadata_.key("expert_count"), kMaxExperts);
  }
  return n;
}

void ExpertReader::read_sizes() {
  spec_.n_used = metadata_.require_int("expert_used_count", kMaxPosition);
  if (spec_.n_used > spec_.n_experts) {
    fail(ErrorCode::kBadFile, "{}: '{}' is {}, but there are {} experts", table_.path(),
         metadata_.key("expert_used_count"), spec_.n_used, spec_.n_experts);
  }
  spec_.d_ffn = metadata_.int_or("expert_feed_forward_length", 1, kMaxWidth, model_.d_ffn);
  const std::int64_t n_shared = metadata_.int_or("expert_shared_count", 0, kMaxHeads, 0);
  spec_.d_shared = n_shared * spec_.d_ffn;
  if (spec_.d_shared > kMaxWidth) {
    fail(ErrorCode::kBadFile, "{}: {} shared experts of {} ('{}')", table_.path(), n_shared,
         spec_.d_ffn, metadata_.key("expert_shared_count"));
  }
  spec_.n_dense_layers = metadata_.int_or("leading_dense_block_count", 0, kMaxLayers, 0);
}

void ExpertReader::read_groups() {
  spec_.n_groups = metadata_.int_or("expert_group_count", 1, kMaxPosition, 1);
  spec_.n_groups_used =
      metadata_.int_or("expert_group_used_count", 1, kMaxPosition, spec_.n_groups);
  if (spec_.n_experts % spec_.n_groups != 0) {
    fail(ErrorCode::kBadFile, "{}: {} experts do not divide into {} groups ('{}')", table_.path(),
         spec_.n_experts, spec_.n_groups, metadata_.key("expert_group_count"));
  }
  if (spec_.n_groups_used > spec_.n_groups) {
    fail(ErrorCode::kBadFile, "{}: '{}' is {}, but there are {} groups of experts", table_.path(),
         metadata_.key("expert_group_used_count"), spec_.n_groups_used, spec_.n_groups);
  }
  const std::int64_t eligible = spec_.n_groups_used * (spec_.n_experts / spec_.n_groups);
  if (spec_.n_used > eligible) {
    fail(ErrorCode::kBadFile, "{}: '{}' is {}, but the groups chosen hold {} experts",
         table_.path(), metadata_.key("expert_used_count"), spec_.n_used, eligible);
  }
}

void ExpertReader::read_shares() {
  // Of llama.cpp's enumeration; files of before it are softmax.
  const std::int64_t softmax = 1, sigmoid = 2;
  const std::string suffix = "expert_gating_func";
  const std::int64_t gate = metadata_.int_or(suffix, 0, kMaxPosition, softmax);
  if (gate > sigmoid) {
    fail(ErrorCode::kUnsupported, "{}: '{}' is {}; supported: 1 (softmax), 2 (sigmoid)",
         table_.path(), metadata_.key(suffix), gate);
  }
  spec_.gate = gate == sigmoid ? ExpertGate::kSigmoid : ExpertGate::kSoftmax;
  const std::optional<bool> stated = table_.find_bool(metadata_.key("expert_weights_norm"));
  spec_.normalise = stated.value_or(model_.arch->normalised_shares);
  const double scale = metadata_.float_or("expert_weights_scale", 1.0);
  if (scale < 0) {
    fail(ErrorCode::kBadFile, "{}: '{}' is {}", table_.path(),
         metadata_.key("expert_weights_scale"), scale);
  }
  spec_.scale = scale == 0 ? 1.0F : static_cast<float>(scale);  // a 0 says that there is none
}

ExpertSpec ExpertReader::read() {
  spec_.n_experts = count();
  if (spec_.n_experts == 0) return spec_;
  read_sizes();
  read_groups();
  read_shares();
  return spec_;
}

}  // namespace

void read_experts(const TensorTable& table, const Metadata& metadata, ModelSpec& spec) {
  spec.experts = ExpertReader(table, metadata, spec).read();
}

}  // namespace windlass
