#include "pipeline/eval/text_passages.h"

#include <algorithm>
#include <array>
#include <functional>
#include <span>

#include "src/base/checksum.h"

namespace windlass {
namespace {

constexpr std::string_view kWhiteSpace = " \t\r\n\v\f";

// Calls visit(hash, words of the passage) for each kept one, until it returns false. Shorter texts
// are one passage; one without words has none.
void visit_passages(
    std::string_view text,
    const std::function<bool(std::uint64_t hash, std::span<const std::string_view> words)>& visit) {
  constexpr std::size_t kWords = TextPassages::kPassageWords;
  // Twice as long as a passage, so that its words lie side by side: the older half goes when full.
  std::array<std::string_view, 2 * kWords> words;
  std::array<std::uint64_t, 2 * kWords> hashes;
  std::size_t n = 0;
  bool first = true;
  const auto passage = [&](std::size_t size) {
    const auto part = std::span(hashes).subspan(n - size, size);
    const std::uint64_t hash = checksum64(std::as_bytes(part));
    if (!first && hash % TextPassages::kKeepOneIn != 0) return true;
    first = false;
    return visit(hash, std::span(words).subspan(n - size, size));
  };
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(kWhiteSpace), text.size()));
    if (text.empty()) break;
    if (n == words.size()) {
      std::copy(words.end() - kWords, words.end(), words.begin());
      std::copy(hashes.end() - kWords, hashes.end(), hashes.begin());
      n = kWords;
    }
    words[n] = text.substr(0, text.find_first_of(kWhiteSpace));
    hashes[n] = checksum64(std::as_bytes(std::span(words[n])));
    text.remove_prefix(words[n].size());
    ++n;
    if (n >= kWords && !passage(kWords)) return;
  }
  if (first && n > 0) passage(n);
}

}  // namespace

TextPassages::TextPassages(std::string_view text) {
  visit_passages(text, [&](std::uint64_t hash, std::span<const std::string_view>) {
    hashes_.push_back(hash);
    return true;
  });
  std::sort(hashes_.begin(), hashes_.end());
}

std::optional<std::string> TextPassages::find_shared_passage(std::string_view text) const {
  std::optional<std::string> shared;
  visit_passages(text, [&](std::uint64_t hash, std::span<const std::string_view> words) {
    if (!std::binary_search(hashes_.begin(), hashes_.end(), hash)) return true;
    shared.emplace();
    for (const std::string_view word : words) {
      if (!shared->empty()) *shared += ' ';
      *shared += word;
    }
    return false;
  });
  return shared;
}

std::int64_t TextPassages::size_bytes() const {
  return static_cast<std::int64_t>(hashes_.capacity() * sizeof(std::uint64_t));
}

}  // namespace windlass
