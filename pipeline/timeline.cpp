#include "pipeline/timeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "src/base/units.h"

namespace windlass {
namespace {

constexpr Resource kRows[kResources] = {Resource::kCpu, Resource::kGpu, Resource::kDisk,
                                        Resource::kHostToVram, Resource::kVramToHost};

double busy_s(std::span<const WorkSpan> spans, Resource resource) {
  double sum = 0;
  for (const WorkSpan& span : spans) {
    if (span.resource == resource && !span.waits) sum += span.end_s - span.begin_s;
  }
  return sum;
}

// Seconds of [begin_s, end_s) in each cell, added up.
void add_to_cells(std::vector<double>& cells, double begin_s, double end_s, double cell_s) {
  const auto last = static_cast<double>(cells.size()) - 1;
  const auto first = static_cast<std::size_t>(std::clamp(std::floor(begin_s / cell_s), 0.0, last));
  for (std::size_t i = first; i < cells.size(); ++i) {
    const double cell_begin_s = static_cast<double>(i) * cell_s;
    if (cell_begin_s >= end_s) return;
    cells[i] +=
        std::max(std::min(end_s, cell_begin_s + cell_s) - std::max(begin_s, cell_begin_s), 0.0);
  }
}

std::string cells_of(std::span<const WorkSpan> spans, Resource resource, double step_s,
                     int columns) {
  constexpr double kMost = 0.5, kSome = 0.02;
  const double cell_s = step_s / columns;
  std::vector<double> busy(static_cast<std::size_t>(columns)), waiting(busy.size());
  for (const WorkSpan& span : spans) {
    if (span.resource == resource)
      add_to_cells(span.waits ? waiting : busy, span.begin_s, span.end_s, cell_s);
  }
  std::string line;
  for (std::size_t i = 0; i < busy.size(); ++i) {
    const char cell = busy[i] >= kMost * cell_s      ? '#'
                      : busy[i] >= kSome * cell_s    ? '+'
                      : waiting[i] >= kMost * cell_s ? '.'
                                                     : ' ';
    line += cell;
  }
  return line;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<') {
      out += "&lt;";
    } else if (c == '&') {
      out += "&amp;";
    } else {
      out += c;
    }
  }
  return out;
}

constexpr double kLeft = 130, kWidth = 1000, kRowHeight = 34, kBarHeight = 24, kTop = 56;

std::string bars_of(std::span<const WorkSpan> spans, Resource resource, double step_s, double y,
                    const std::vector<std::string>& labels) {
  constexpr double kPixel = 1;
  std::string out;
  const double scale = kWidth / step_s;
  for (std::size_t i = 0; i < spans.size();) {
    const WorkSpan& first = spans[i++];
    if (first.resource != resource) continue;
    double end_s = first.end_s;
    while (i < spans.size() && spans[i].resource == resource && spans[i].waits == first.waits &&
           (spans[i].begin_s - end_s) * scale < kPixel &&
           (spans[i].end_s - first.begin_s) * scale < 2 * kPixel) {
      end_s = std::max(end_s, spans[i++].end_s);
    }
    const bool named = first.op >= 0 && static_cast<std::size_t>(first.op) < labels.size();
    const std::string name = first.waits ? "waits"
                             : named     ? escaped(labels[static_cast<std::size_t>(first.op)])
                                         : "load";
    out += fmt::format(
        "<rect x=\"{:.2f}\" y=\"{}\" width=\"{:.2f}\" height=\"{}\" class=\"{}\"><title>{}, {} at "
        "{}</title></rect>\n",
        kLeft + first.begin_s * scale, y, std::max((end_s - first.begin_s) * scale, 0.3),
        kBarHeight, first.waits ? "w" : resource_name(resource), name,
        format_seconds(end_s - first.begin_s), format_seconds(first.begin_s));
  }
  return out;
}

std::string axis(double step_s, double bottom) {
  constexpr int kTicks = 10;
  std::string out;
  for (int tick = 0; tick <= kTicks; ++tick) {
    const double x = kLeft + kWidth * tick / kTicks;
    out += fmt::format("<line x1=\"{0}\" y1=\"{1}\" x2=\"{0}\" y2=\"{2}\" class=\"a\"/>\n", x,
                       kTop - 6, bottom);
    out += fmt::format("<text x=\"{}\" y=\"{}\" class=\"t\">{}</text>\n", x, bottom + 16,
                       tick == 0 ? "0" : format_seconds(step_s * tick / kTicks));
  }
  return out;
}

}  // namespace

std::string timeline_text(std::span<const WorkSpan> spans, double step_s, int columns) {
  std::string text;
  for (const Resource resource : kRows) {
    const double busy = busy_s(spans, resource);
    if (busy <= 0) continue;
    text +=
        fmt::format("  {:<13}|{}| {:3.0f} %\n", resource_name(resource),
                    cells_of(spans, resource, step_s, columns), 100 * std::min(busy / step_s, 1.0));
  }
  return text;
}

std::string timeline_svg(std::span<const WorkSpan> spans, double step_s, const std::string& title,
                         const std::vector<std::string>& labels) {
  std::string rows;
  double y = kTop;
  for (const Resource resource : kRows) {
    const double busy = busy_s(spans, resource);
    if (busy <= 0) continue;
    rows += fmt::format("<text x=\"8\" y=\"{}\">{} {:.0f} %</text>\n", y + 16,
                        resource_name(resource), 100 * std::min(busy / step_s, 1.0));
    rows += bars_of(spans, resource, step_s, y, labels);
    y += kRowHeight;
  }
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} "
      "{1}\">\n<style>text{{font:12px sans-serif}} .t{{text-anchor:middle}} .a{{stroke:#ddd}} "
      ".w{{fill:#eee}} .cpu{{fill:#4477aa}} .gpu{{fill:#228833}} .disk_to_host{{fill:#aa3377}} "
      ".host_to_vram{{fill:#ee6677}} .vram_to_host{{fill:#ccbb44}}</style>\n"
      "<text x=\"8\" y=\"24\">{2}</text>\n{3}{4}</svg>\n",
      kLeft + kWidth + 40, y + 30, escaped(title), axis(step_s, y), rows);
}

}  // namespace windlass
