// The twin that builds without CUDA link. It is linked here in any build, so that it cannot rot.
#include "src/device/cuda_device.h"
#include "tests/support/catch.h"

namespace windlass {
namespace {

TEST_CASE("a build without CUDA says so, and which build has it") {
  const auto opened = open_cuda_device({});
  REQUIRE(std::holds_alternative<NoDevice>(opened));
  CHECK(std::get<NoDevice>(opened).reason == "this build has no CUDA");
  CHECK_THAT(std::get<NoDevice>(opened).advice, Contains("-DWINDLASS_CUDA=ON"));
}

}  // namespace
}  // namespace windlass
