// read_gguf: opens a model's file, or all shards of a split model, and parses their headers.
// Shards: NAME-00001-of-00003.gguf ...; each holds split.no (from 0), split.count and, in the
// first, split.tensors.count.
#include <charconv>
#include <optional>
#include <utility>

#include "src/base/error.h"
#include "src/format/gguf.h"
#include "src/format/posix_file.h"

namespace windlass {
namespace {

constexpr std::int64_t kMaxShards = 99999;  // five digits in the name

struct ShardName {
  std::string stem;                    // up to the "-" before the shard's number
  std::int64_t number = 0, count = 0;  // number from 1

  std::string path_of(std::int64_t shard) const {
    return fmt::format("{}-{:05d}-of-{:05d}.gguf", stem, shard, count);
  }
};

// Five decimal digits at `at`.
std::optional<std::int64_t> five_digits(const std::string& text, std::size_t at) {
  std::int64_t value = 0;
  const char* begin = text.data() + at;
  const auto [end, status] = std::from_chars(begin, begin + 5, value);
  if (status != std::errc{} || end != begin + 5 || value < 0) return std::nullopt;
  return value;
}

// Nothing when the path does not end in -NNNNN-of-NNNNN.gguf.
std::optional<ShardName> parse_shard_name(const std::string& path) {
  static constexpr std::size_t kTailBytes = 20;  // "-00001-of-00003.gguf"
  if (path.size() < kTailBytes) return std::nullopt;
  const std::size_t tail = path.size() - kTailBytes;
  if (path[tail] != '-' || path.compare(tail + 6, 4, "-of-") != 0 ||
      path.compare(tail + 15, 5, ".gguf") != 0) {
    return std::nullopt;
  }
  const auto number = five_digits(path, tail + 1);
  const auto count = five_digits(path, tail + 10);
  if (!number || !count) return std::nullopt;
  return ShardName{path.substr(0, tail), *number, *count};
}

void append_file(const std::string& path, TensorTable& table) {
  const PosixFile file(path);
  const ReadAt read_at = [&file](std::int64_t offset, std::span<std::byte> destination) {
    file.read_at(offset, destination);
  };
  parse_gguf(read_at, path, file.size_bytes(),
             FileId{static_cast<std::int32_t>(table.files.size())}, table);
}

std::int64_t shard_count(const TensorTable& table) {
  return table.find_int("split.count", 0, kMaxShards).value_or(1);
}

// Parses shard `number` after the ones before it; metadata and arrays of later shards are dropped.
void append_shard(const ShardName& name, std::int64_t number, TensorTable& table) {
  const std::string path = name.path_of(number);
  TensorTable shard;
  shard.files = table.files;  // so that its tensors get the next FileId
  try {
    append_file(path, shard);
  } catch (const Error& error) {
    fail(error.code(), "shard {} of {}: {}", number, name.count, error.what());
  }
  const std::int64_t count = shard_count(shard);
  const std::int64_t split_no = shard.find_int("split.no", 0, kMaxShards).value_or(0);
  if (count != name.count || split_no != number - 1) {
    fail(ErrorCode::kBadFile,
         "{}: holds shard {} of {} by its metadata, not {} of {} as it is named", path,
         split_no + 1, count, number, name.count);
  }
  table.files = std::move(shard.files);
  table.tensors.insert(table.tensors.end(), std::make_move_iterator(shard.tensors.begin()),
                       std::make_move_iterator(shard.tensors.end()));
  table.header_bytes += shard.header_bytes;
  if (number == 1) {
    table.metadata = std::move(shard.metadata);
    table.arrays = std::move(shard.arrays);
  }
}

TensorTable read_shards(const std::string& path, std::int64_t count) {
  const std::optional<ShardName> name = parse_shard_name(path);
  if (!name) {
    fail(ErrorCode::kBadFile,
         "{}: is one of {} shards, but its name does not end in -00001-of-{:05d}.gguf, so the "
         "others "
         "cannot be found",
         path, count, count);
  }
  if (name->count != count || name->number < 1 || name->number > count) {
    fail(ErrorCode::kBadFile, "{}: is named shard {} of {}, but its metadata say {} shards", path,
         name->number, name->count, count);
  }
  TensorTable table;
  for (std::int64_t number = 1; number <= count; ++number) append_shard(*name, number, table);
  const auto n_tensors = static_cast<std::int64_t>(table.tensors.size());
  const auto expected = table.find_int("split.tensors.count", 0, std::int64_t{1} << 40);
  if (expected && *expected != n_tensors) {
    fail(ErrorCode::kBadFile, "{}: the {} shards hold {} tensors, but split.tensors.count is {}",
         table.files.front().path, count, n_tensors, *expected);
  }
  return table;
}

}  // namespace

TensorTable read_gguf(const std::string& path) {
  TensorTable table;
  append_file(path, table);
  const std::int64_t count = shard_count(table);
  if (count > 1) {
    const std::int64_t first_read_bytes = table.header_bytes;
    table = read_shards(path, count);
    table.header_bytes += first_read_bytes;
  }
  table.build_index();
  return table;
}

}  // namespace windlass
