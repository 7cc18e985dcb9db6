#include "src/text/jinja/text_ops.h"

#include <algorithm>

#include "src/text/utf8.h"

namespace windlass::jinja {
namespace {

Value piece(Heap& heap, std::string_view text) {
  heap.step();
  return Value::string(&heap, std::string(text));
}

Values split_space_from_left(Heap& heap, std::string_view text, std::int64_t most) {
  Values pieces;
  text = strip(text, Side::kLeft);
  while (!text.empty()) {
    if (most-- == 0) {
      pieces.push_back(piece(heap, strip(text, Side::kRight)));
      break;
    }
    std::size_t end = 0;
    while (end < text.size()) {
      const CodePoint point = next_code_point(text.substr(end));
      if (is_space(point.value)) break;
      end += point.size_bytes;
    }
    pieces.push_back(piece(heap, text.substr(0, end)));
    text = strip(text.substr(end), Side::kLeft);
  }
  return pieces;
}

// The last run without white space begins here.
std::size_t last_word(std::string_view text) {
  std::size_t begin = text.size();
  while (begin > 0) {
    std::size_t at = begin - 1;
    while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
    if (is_space(next_code_point(text.substr(at)).value)) break;
    begin = at;
  }
  return begin;
}

Values split_space_from_right(Heap& heap, std::string_view text, std::int64_t most) {
  Values pieces;
  text = strip(text, Side::kRight);
  while (!text.empty()) {
    const std::size_t begin = most-- == 0 ? 0 : last_word(text);
    const std::string_view word = text.substr(begin);
    pieces.push_back(piece(heap, begin == 0 ? strip(word, Side::kLeft) : word));
    text = strip(text.substr(0, begin), Side::kRight);
  }
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

Values split_from_right(Heap& heap, std::string_view text, std::string_view separator,
                        std::int64_t most) {
  Values pieces;
  while (most-- != 0) {
    // rfind compares at each place: up to the separator's length each.
    heap.step(static_cast<std::int64_t>(std::min<std::size_t>(separator.size(), 64) * text.size()) /
              4096);
    const std::size_t at = text.rfind(separator);
    if (at == std::string_view::npos) break;
    pieces.push_back(piece(heap, text.substr(at + separator.size())));
    text = text.substr(0, at);
  }
  pieces.push_back(piece(heap, text));
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

bool is_line_end(std::int32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

}  // namespace

void charge_text(Heap& heap, std::string_view text) {
  const auto n = static_cast<std::int64_t>(text.size());
  heap.copy(n, n);
  heap.step(n / 8);
}

std::string replace_text(Heap& heap, std::string_view text, std::string_view from,
                         std::string_view to, std::int64_t count) {
  TextBuilder out(heap);
  heap.step(static_cast<std::int64_t>(text.size()) / 64);
  std::size_t done = 0;
  if (from.empty()) {  // between all characters, and at both ends
    for (; count != 0 && done <= text.size(); --count) {
      out.append(to);
      if (done == text.size()) return out.take();
      const std::string_view character = first_code_point(text.substr(done));
      out.append(character);
      done += character.size();
    }
  }
  for (; count != 0 && !from.empty(); --count) {
    const std::size_t at = find_text(text, from, done);
    if (at == std::string_view::npos) break;
    out.append(text.substr(done, at - done));
    out.append(to);
    done = at + from.size();
  }
  out.append(text.substr(done));
  return out.take();
}

Values split_text(Heap& heap, std::string_view text, std::optional<std::string_view> separator,
                  std::int64_t most, Side from) {
  charge_text(heap, text);
  if (!separator) {
    return from == Side::kLeft ? split_space_from_left(heap, text, most)
                               : split_space_from_right(heap, text, most);
  }
  if (separator->empty()) throw_failure("empty separator");
  if (from == Side::kRight && most >= 0) return split_from_right(heap, text, *separator, most);
  Values pieces;
  std::size_t begin = 0;
  while (most-- != 0) {
    const std::size_t at = find_text(text, *separator, begin);
    if (at == std::string_view::npos) break;
    pieces.push_back(piece(heap, text.substr(begin, at - begin)));
    begin = at + separator->size();
  }
  pieces.push_back(piece(heap, text.substr(begin)));
  return pieces;
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = next_code_point(text.substr(at));
    std::size_t next = at + point.size_bytes;
    if (is_line_end(point.value)) {
      if (text.substr(at, 2) == "\r\n") ++next;
      lines.push_back(text.substr(begin, (keep_ends ? next : at) - begin));
      begin = next;
    }
    at = next;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

void append_escaped(TextBuilder& out, std::string_view text) {
  charge_text(out.heap(), text);
  while (!text.empty()) {
    const std::size_t plain = std::min(text.find_first_of("&<>'\""), text.size());
    out.append(text.substr(0, plain));
    text.remove_prefix(plain);
    if (text.empty()) break;
    const char c = text[0];
    out.append(c == '&'   ? "&amp;"
               : c == '<' ? "&lt;"
               : c == '>' ? "&gt;"
               : c == '"' ? "&#34;"
                          : "&#39;");
    text.remove_prefix(1);
  }
}

std::string_view strip_text(Heap& heap, std::string_view text, Side side,
                            std::optional<std::string_view> characters) {
  heap.step(static_cast<std::int64_t>(text.size()) / 64);
  if (!characters) return strip(text, side);
  const std::string_view stripped = strip(text, side, *characters);
  // Each character that went was looked for among all.
  heap.step(
      static_cast<std::int64_t>((text.size() - stripped.size() + 1) * characters->size() / 1024));
  return stripped;
}

std::string title_words(std::string_view text) {
  std::string out;
  std::size_t begin = 0;
  const auto is_break = [](std::int32_t c) {
    return is_space(c) ||
           (c >= 0 && c < 0x80 &&
            std::string_view("-({[<").find(static_cast<char>(c)) != std::string_view::npos);
  };
  // Alternating runs of breaks and others; of each the first character is put in upper case.
  while (begin < text.size()) {
    const bool in_break = is_break(next_code_point(text.substr(begin)).value);
    std::size_t end = begin;
    while (end < text.size()) {
      const CodePoint point = next_code_point(text.substr(end));
      if (is_break(point.value) != in_break) break;
      end += point.size_bytes;
    }
    const std::string_view run = text.substr(begin, end - begin);
    const std::string_view first = first_code_point(run);
    out += to_upper(first);
    out += to_lower(run.substr(first.size()));
    begin = end;
  }
  return out;
}

std::string center_text(Heap& heap, std::string_view text, std::int64_t width,
                        std::string_view fill) {
  const std::int64_t margin = std::max<std::int64_t>(width - count_code_points(text), 0);
  // Python puts the odd blank left when the width is odd.
  const std::int64_t left = margin / 2 + (margin & width & 1);
  TextBuilder out(heap);
  out.repeat(fill, left);
  out.append(text);
  out.repeat(fill, margin - left);
  return out.take();
}

}  // namespace windlass::jinja
