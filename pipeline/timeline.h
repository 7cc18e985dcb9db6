// The timeline of a predicted step for people: who works when, and where it waits.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "pipeline/simulator.h"

namespace windlass {

// One line a resource that works in the step: its name, `columns` cells of equal time ('#' at work
// for most of it, '+' for a part, '.' waiting for another, ' ' idle), and how much of the step it
// works.
std::string timeline_text(std::span<const WorkSpan> spans, double step_s, int columns);

// A self-contained SVG of the same, a bar for each op or load; neighbours less than a pixel apart
// are one. labels: by op of the graph, shown where the pointer rests.
std::string timeline_svg(std::span<const WorkSpan> spans, double step_s, const std::string& title,
                         const std::vector<std::string>& labels);

}  // namespace windlass
