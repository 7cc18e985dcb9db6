// Template source to its tree.
#pragma once

#include <string_view>

#include "src/text/jinja/ast.h"

namespace windlass::jinja {

// Throws SyntaxFailure (lexer.h) naming the line and the construct.
Body parse_template(std::string_view source);

}  // namespace windlass::jinja
