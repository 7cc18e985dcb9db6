// Why there is no NVIDIA device, in words, for what the CUDA runtime answers on machines that lack
// something; and on this one.
#include "src/device/cuda_absence.h"

#include "tests/support/catch.h"

namespace windlass {
namespace {

CudaAnswer answer(int status, const std::string& text = "its own words") {
  CudaAnswer answer;
  answer.status = status;
  answer.status_text = text;
  answer.driver_version = answer.runtime_version = 13000;
  return answer;
}

TEST_CASE("no driver and an old driver are told apart, with both versions") {
  CudaAnswer none = answer(35);
  none.driver_version = 0;
  CHECK(explain_absence(none).reason == "this machine has no NVIDIA driver that programs can use");
  CHECK_THAT(explain_absence(none).advice, Contains("install its driver"));
  CudaAnswer old = answer(35);
  old.driver_version = 12040;
  CHECK(explain_absence(old).reason ==
        "the NVIDIA driver is too old: it supports CUDA 12.4, this build needs 13.0");
  CHECK_THAT(explain_absence(old).advice, Contains("CUDA 13.0 or newer"));
}

TEST_CASE("a driver that shows no GPU: the variable that hides them is shown, MIG is mentioned") {
  CHECK_THAT(explain_absence(answer(100)).reason, Contains("shows no GPU"));
  CHECK_THAT(explain_absence(answer(100)).advice, Contains("MIG") && Contains("nvidia-smi -L"));
  CHECK_THAT(explain_absence(answer(0)).reason, Contains("shows no GPU"));
  CudaAnswer hidden = answer(100);
  hidden.visible = "-1";
  CHECK_THAT(explain_absence(hidden).reason, Contains("CUDA_VISIBLE_DEVICES is '-1'"));
  CHECK_THAT(explain_absence(hidden).advice, Contains("unset CUDA_VISIBLE_DEVICES"));
}

TEST_CASE("a GPU that is not among the visible ones is named with their number") {
  CudaAnswer third = answer(0);
  third.n_devices = 2;
  third.ordinal = 2;
  CHECK(explain_absence(third).reason == "there is no GPU 2: 2 are visible, counted from 0");
  third.status = 101;
  third.visible = "0,1";
  CHECK_THAT(explain_absence(third).reason, Contains("CUDA_VISIBLE_DEVICES is '0,1'"));
}

TEST_CASE("every other answer has a reason and an advice, unknown ones with their number") {
  for (const int status : {3, 46, 304, 802, 803, 804, 999, 12345}) {
    const NoDevice none = explain_absence(answer(status));
    INFO(status << ": " << none.reason << ": " << none.advice);
    CHECK_FALSE(none.reason.empty());
    CHECK_FALSE(none.advice.empty());
    CHECK((none.reason + none.advice).find('\n') == std::string::npos);
  }
  CHECK_THAT(explain_absence(answer(12345)).reason, Contains("12345") && Contains("its own words"));
  CHECK_THAT(explain_absence(answer(803)).advice, Contains("restart"));
}

TEST_CASE("asking for a GPU that no machine has ends in words, driver or not") {
  CudaDeviceOptions options;
  options.ordinal = 1000;
  const auto opened = open_cuda_device(options);
  REQUIRE(std::holds_alternative<NoDevice>(opened));
  const auto& none = std::get<NoDevice>(opened);
  INFO(none.reason);
  CHECK_FALSE(none.reason.empty());
  CHECK_FALSE(none.advice.empty());
}

}  // namespace
}  // namespace windlass
