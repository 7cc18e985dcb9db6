// The two sides of a comparison as the command line names them, what they run on, and whether they
// can be compared.
#pragma once

#include <optional>
#include <string>

#include "pipeline/eval/baseline_file.h"
#include "pipeline/eval/token_windows.h"
#include "src/model/model.h"
#include "tools/eval_text.h"
#include "tools/options.h"

namespace windlass {

// One side: its flags (model is its own) and its model.
struct Side {
  Options options;
  Model model;
  // What of the flags decides over the answer.
  std::string settings() const;
};

// As the flags say: A is named unless --logits stands for a model that is not given; B is there
// unless A is only saved or probed.
struct Sides {
  std::optional<Side> a, b;
};

// Error(kUsage) for flags that do not make sides.
Sides open_sides(const Options& options);

// The text in windows of -c, or probes of --recall. Takes the tokens.
TokenWindows make_windows(const Invocation& invocation, EvalText& text);

// Of a run of this side; tile_columns is the most that it can be.
BaselineIdentity identity_of(const Side& side, const EvalText& text, const TokenWindows& windows);

// Error(kUsage) unless ids mean the same to both.
void require_same_vocabulary(const BaselineIdentity& a, const std::string& b_name,
                             std::int64_t b_size, std::uint64_t b_vocabulary);
// Error(kUsage) unless a saved file is of side A (where that is named), of this text in these
// windows, and of side B's vocabulary.
void require_match(const std::string& path, const BaselineIdentity& saved,
                   const BaselineIdentity& wanted, const std::optional<Side>& a);

}  // namespace windlass
