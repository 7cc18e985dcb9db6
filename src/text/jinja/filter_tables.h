// The filters, in one table a file.
#pragma once

#include <span>

#include "src/text/jinja/arguments.h"

namespace windlass::jinja {

std::span<const Builtin> text_filters();
std::span<const Builtin> sequence_filters();
std::span<const Builtin> selection_filters();
std::span<const Builtin> number_filters();

}  // namespace windlass::jinja
