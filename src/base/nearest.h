// The known name nearest to a mistyped one, for "did you mean".
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace windlass {

// Insertions, deletions, replacements and swaps of neighbours that turn a into b.
int edit_distance(std::string_view a, std::string_view b);
// The nearest of `known` (the first of equals); empty when there is none.
std::string nearest_name(std::string_view name, const std::vector<std::string>& known);

}  // namespace windlass
