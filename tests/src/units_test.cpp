#include "src/base/units.h"

#include "src/base/error.h"
#include "tests/support/catch.h"

namespace windlass {

TEST_CASE("sizes are 1024-based with an i or a bare letter, 1000-based without") {
  CHECK(parse_size("0", "--ram") == 0);
  CHECK(parse_size("1B", "--ram") == 1);
  CHECK(parse_size("24GiB", "--ram") == 24 * kGiB);
  CHECK(parse_size("1.5GiB", "--ram") == 3 * kGiB / 2);
  CHECK(parse_size("500MB", "--ram") == 500'000'000);
  CHECK(parse_size("64M", "--ram") == 64 * kMiB);
  CHECK(parse_size("64MiB", "--ram") == 64 * kMiB);
  CHECK(parse_size("64 MiB", "--ram") == 64 * kMiB);
  CHECK(parse_size("3KB", "--ram") == 3000);
  CHECK(parse_size("2K", "--ram") == 2048);
  CHECK(parse_size("1TB", "--ram") == 1'000'000'000'000);
}

TEST_CASE("what is not a size is a usage error that names the flag and the text") {
  for (const char* text : {"", "GiB", "five", "-1GiB", "nanMiB", "infGiB", "5", "1.5", "5XB",
                           "5gib", "5GiB5", "2000000TiB", "1e300TiB"}) {
    INFO(text);
    try {
      parse_size(text, "--ram");
      FAIL("accepted");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::kUsage);
      CHECK_THAT(error.what(), Contains("--ram") && Contains(text));
    }
  }
  CHECK_THROWS_WITH(parse_size("5", "--ram"), Contains("has no unit; write 5GiB or 5MiB"));
}

TEST_CASE("sizes, rates and times print with the unit that fits") {
  CHECK(format_size(512) == "512 B");
  CHECK(format_size(1536) == "1.5 KiB");
  CHECK(format_size(64 * kMiB) == "64.0 MiB");
  CHECK(format_size(kGiB * 137 / 100) == "1.37 GiB");
  CHECK(format_size(-2 * kGiB) == "-2.00 GiB");
  CHECK(format_rate(0.93 * static_cast<double>(kGiB)) == "0.93 GiB/s");
  CHECK(format_seconds(123.4) == "123 s");
  CHECK(format_seconds(1.234) == "1.23 s");
  CHECK(format_seconds(0.0341) == "34.1 ms");
  CHECK(format_seconds(5.1e-6) == "5.1 us");
}

TEST_CASE("alignment rounds to multiples on either side") {
  CHECK(align_up(0, 32) == 0);
  CHECK(align_up(1, 32) == 32);
  CHECK(align_up(32, 32) == 32);
  CHECK(align_up(4097, 4096) == 8192);
  CHECK(align_down(4097, 4096) == 4096);
  CHECK(align_down(31, 32) == 0);
}

}  // namespace windlass
