// The escapes of Python's string literals.
#pragma once

#include <string>
#include <string_view>

namespace windlass::jinja {

// Text between the quotes to what it means. Throws std::invalid_argument for an escape that Python
// refuses, or that names half of a surrogate pair or a character by name.
std::string resolve_escapes(std::string_view literal);

}  // namespace windlass::jinja
