// A model that streams: 8 MB in blocks of 68 to 208 KiB, and a head of two blocks; and a text of
// 100 tokens for it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/model/model.h"
#include "tests/pipeline/small_gguf.h"
#include "tests/support/tiny_model.h"

namespace windlass::test {

struct StreamedModel {
  StreamedModel() : path(folder.file("streamed.gguf")), model(open(path)) {
    for (std::int32_t i = 0; i < 100; ++i) ids.push_back(i * 61 % 6400);
  }
  static Model open(const std::string& path) {
    write_small_llama(path, SmallLlama{});
    return open_model(path);
  }
  testing::TempDir folder;
  std::string path;
  Model model;
  std::vector<std::int32_t> ids;
};

}  // namespace windlass::test
