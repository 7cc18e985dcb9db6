// Reads the little-endian, C-order .npy arrays of tests/golden. For tests: a file that does not fit
// throws.
#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace windlass::test {

template <typename T>
struct Npy {
  std::vector<std::int64_t> shape;
  std::vector<T> values;
};

namespace internal {

inline std::vector<std::int64_t> npy_shape(const std::string& header) {
  std::vector<std::int64_t> shape;
  const std::size_t open = header.find('('), close = header.find(')', open);
  std::string digits;
  for (std::size_t i = open + 1; i <= close; ++i) {
    if (header[i] >= '0' && header[i] <= '9') {
      digits += header[i];
    } else if (!digits.empty()) {
      shape.push_back(std::stoll(digits));
      digits.clear();
    }
  }
  return shape;
}

}  // namespace internal

// `descr` is the array's type as .npy writes it: "<f4", "|u1", "<i4".
template <typename T>
Npy<T> read_npy(const std::string& path, const std::string& descr) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (bytes.compare(0, 6, "\x93NUMPY") != 0 || bytes.size() < 10) {
    throw std::runtime_error(path + ": not a .npy file");
  }
  std::uint16_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data() + 8, 2);  // version 1.0
  const std::string header = bytes.substr(10, header_bytes);
  if (header.find("'" + descr + "'") == std::string::npos ||
      header.find("'fortran_order': False") == std::string::npos) {
    throw std::runtime_error(path + ": expected C-order " + descr + ", header is " + header);
  }
  Npy<T> array;
  array.shape = internal::npy_shape(header);
  std::int64_t n = 1;
  for (const std::int64_t extent : array.shape) n *= extent;
  const std::size_t begin = 10u + header_bytes;
  if (bytes.size() - begin != static_cast<std::size_t>(n) * sizeof(T)) {
    throw std::runtime_error(path + ": size does not match its shape");
  }
  array.values.resize(static_cast<std::size_t>(n));
  std::memcpy(array.values.data(), bytes.data() + begin, bytes.size() - begin);
  return array;
}

}  // namespace windlass::test
