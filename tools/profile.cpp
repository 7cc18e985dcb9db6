// windlass profile: measures this machine afresh, caches and prints the result.
#include "pipeline/profile.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "src/base/output_file.h"
#include "src/base/units.h"
#include "tools/files.h"
#include "tools/interrupt.h"
#include "tools/json_output.h"
#include "tools/outputs.h"
#include "tools/session.h"

namespace windlass {
namespace {

std::string rate_rows(const std::array<MatMulRates, kDTypeCount>& rates, const char* activations) {
  std::string text;
  for (int id = 0; id < kDTypeCount; ++id) {
    const MatMulRates& rate = rates[static_cast<std::size_t>(id)];
    if (rate.gemv_bytes_per_s <= 0) continue;
    text += fmt::format("matmul     {:<5} {} activations: {} at one row, {:.1f} Gop/s at many\n",
                        dtype_info(static_cast<DType>(id)).name, activations,
                        format_rate(rate.gemv_bytes_per_s), rate.gemm_ops_per_s / 1e9);
  }
  return text;
}

std::string to_text(const Profile& profile) {
  std::string text =
      fmt::format("cpu        {}, {}, {} threads\n", profile.cpu, profile.isa, profile.threads);
  text += fmt::format("memory     {}\n", format_rate(profile.dram_bytes_per_s));
  text += fmt::format("op         {} over the team\n", format_seconds(profile.op_overhead_s));
  text += rate_rows(profile.int8, "8-bit") + rate_rows(profile.exact, "f32");
  text +=
      fmt::format("attention  {} at one query, {:.1f} Gop/s at many\n",
                  format_rate(profile.attention_bytes_per_s), profile.attention_ops_per_s / 1e9);
  text +=
      fmt::format("disk       {} {}, {} a small read ({})\n", format_rate(profile.disk_bytes_per_s),
                  profile.disk_direct ? "direct" : "buffered: no direct I/O there",
                  format_seconds(profile.disk_small_read_s), profile.disk_path);
  return text;
}

}  // namespace

int profile_command(const Invocation& invocation) {
  const Options& options = invocation.options;
  const EngineOptions engine_options = make_engine_options(options);
  const ProfileOptions profile_options =
      make_profile_options(options, engine_options, options.model);
  const std::string cached = profile_cache_path(profile_options);
  check_outputs(options, {});
  make_cache_dir(profile_options.cache_dir);
  probe_output(cached);
  ProgressDisplay display(options.progress);
  const Profile profile = measure_profile(profile_options, [&](double part, const char* what) {
    throw_if_interrupted();
    display.update(static_cast<std::int64_t>(part * 1000), 1000, what);
  });
  display.clear();
  write_profile(profile, cached);
  if (!options.output.empty()) write_profile(profile, options.output);
  if (options.json) {
    print_json(to_json(profile));
  } else {
    print(to_text(profile) + fmt::format("cached     {}\n", cached));
  }
  return 0;
}

}  // namespace windlass
