// 'text %s' % values and 'text {}'.format(values), the plain forms of both.
#pragma once

#include "src/text/jinja/arguments.h"
#include "src/text/jinja/value.h"

namespace windlass::jinja {

// %s %r %d %i %x %X %o %f %e %g %c %% with flags, width and precision, from a tuple or a single
// value, and %(key)s from a dict.
Value format_percent(Heap& heap, const Value& format, const Value& values);
// {} {0} {name}, without conversions or format specifications (those are Failure(kUnsupported)).
Value format_braces(Heap& heap, const Value& format, const Arguments& arguments);

}  // namespace windlass::jinja
