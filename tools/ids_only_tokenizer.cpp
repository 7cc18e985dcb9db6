#include "tools/ids_only_tokenizer.h"

#include "src/base/error.h"

namespace windlass {
namespace {

class IdsOnlyTokenizer final : public Tokenizer {
 public:
  IdsOnlyTokenizer(std::int32_t n_vocab, std::optional<std::int32_t> eos_id, std::string reason)
      : n_vocab_(n_vocab), eos_id_(eos_id), reason_(std::move(reason)) {}

  std::vector<std::int32_t> encode(std::string_view, const TokenizeOptions&) const override {
    fail(ErrorCode::kUnsupported, "{}; give token ids with --ids instead of text", reason_);
  }
  std::string_view token_bytes(std::int32_t, bool) const override { return {}; }
  std::int32_t n_vocab() const override { return n_vocab_; }
  std::optional<std::int32_t> bos_id() const override { return std::nullopt; }
  std::optional<std::int32_t> eos_id() const override { return eos_id_; }
  bool adds_bos() const override { return false; }
  bool is_end_of_generation(std::int32_t id) const override { return id == eos_id_; }
  std::optional<std::int32_t> special_id(std::string_view) const override { return std::nullopt; }
  std::int64_t size_bytes() const override { return 0; }

 private:
  std::int32_t n_vocab_;
  std::optional<std::int32_t> eos_id_;
  std::string reason_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_ids_only_tokenizer(std::int32_t n_vocab,
                                                   std::optional<std::int32_t> eos_id,
                                                   std::string reason) {
  return std::make_unique<IdsOnlyTokenizer>(n_vocab, eos_id, std::move(reason));
}

}  // namespace windlass
