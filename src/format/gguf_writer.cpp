// GgufWriter: header from declarations kept in memory, tensor data streamed behind it.
#include <utility>

#include "src/base/check.h"
#include "src/base/output_file.h"
#include "src/base/units.h"
#include "src/format/gguf.h"

namespace windlass {

struct GgufWriter::State {
  explicit State(const std::string& path) : out(path) {}

  OutputFile out;
  bool data_begun = false;
  std::size_t current = 0;  // tensor being written
  std::int64_t current_written_bytes = 0;
};

GgufWriter::GgufWriter(const std::string& path, std::int64_t alignment_bytes)
    : GgufHeaderBuilder(alignment_bytes), state_(std::make_unique<State>(path)) {}

GgufWriter::~GgufWriter() = default;

// Pads the file to the alignment where a tensor has just become whole, and steps to the next one.
void GgufWriter::finish_tensor() {
  State& state = *state_;
  while (state.current < tensors().size() &&
         state.current_written_bytes == tensors()[state.current].size_bytes) {
    const std::int64_t size = tensors()[state.current].size_bytes;
    const std::string padding(static_cast<std::size_t>(align_up(size, alignment_bytes()) - size),
                              '\0');
    state.out.write(std::as_bytes(std::span(padding)));
    ++state.current;
    state.current_written_bytes = 0;
  }
}

void GgufWriter::begin_data() {
  WINDLASS_CHECK(!state_->data_begun);
  const std::string text = header();
  state_->out.write(std::as_bytes(std::span(text)));
  state_->data_begun = true;
}

void GgufWriter::write_data(std::span<const std::byte> bytes) {
  State& state = *state_;
  WINDLASS_CHECK(state.data_begun);
  while (!bytes.empty()) {
    WINDLASS_CHECK(state.current < tensors().size(), bytes.size());
    const std::int64_t missing = tensors()[state.current].size_bytes - state.current_written_bytes;
    const std::size_t piece = std::min(bytes.size(), static_cast<std::size_t>(missing));
    state.out.write(bytes.first(piece));
    bytes = bytes.subspan(piece);
    state.current_written_bytes += static_cast<std::int64_t>(piece);
    finish_tensor();
  }
}

void GgufWriter::skip_data() {
  State& state = *state_;
  WINDLASS_CHECK(state.data_begun);
  std::int64_t hole = -state.current_written_bytes;
  for (; state.current < tensors().size(); ++state.current) {
    hole += align_up(tensors()[state.current].size_bytes, alignment_bytes());
  }
  state.current_written_bytes = 0;
  state.out.skip(std::max<std::int64_t>(hole, 0));
}

std::int64_t GgufWriter::finish() {
  State& state = *state_;
  WINDLASS_CHECK(state.data_begun && state.current == tensors().size(), state.current,
                 tensors().size());
  return state.out.finish();
}

}  // namespace windlass
