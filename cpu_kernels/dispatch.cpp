// Which instruction sets this CPU has and this operating system saves (cpuid, XCR0), and the choice
// among the tables.
#include <cpuid.h>
#include <fmt/format.h>

#include "cpu_kernels/op_table.h"
#include "src/base/error.h"

namespace windlass {
namespace {

struct Registers {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(unsigned leaf, unsigned subleaf) {
  Registers r;
  if (__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx) == 0) return {};
  return r;
}

// The register state that the operating system saves on a context switch; 0 without OSXSAVE.
std::uint64_t saved_state() {
  constexpr unsigned kOsxsave = 1u << 27;
  if ((cpuid(1, 0).ecx & kOsxsave) == 0) return 0;
  unsigned low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<std::uint64_t>(high) << 32) | low;
}

struct Feature {
  const char* name;
  bool present;
  Isa needed_from;  // by this set and all above
};

std::vector<Feature> features() {
  const Registers base = cpuid(1, 0), extended = cpuid(7, 0);
  const std::uint64_t saved = saved_state();
  const auto bit = [](unsigned word, int index) { return ((word >> index) & 1u) != 0; };
  constexpr std::uint64_t kAvxState = 0x6, kAvx512State = 0xe6;
  return {
      {"avx state saved by the operating system", (saved & kAvxState) == kAvxState, Isa::kAvx2},
      {"avx2", bit(extended.ebx, 5), Isa::kAvx2},
      {"fma", bit(base.ecx, 12), Isa::kAvx2},
      {"f16c", bit(base.ecx, 29), Isa::kAvx2},
      {"avx512 state saved by the operating system", (saved & kAvx512State) == kAvx512State,
       Isa::kAvx512},
      {"avx512f", bit(extended.ebx, 16), Isa::kAvx512},
      {"avx512dq", bit(extended.ebx, 17), Isa::kAvx512},
      {"avx512bw", bit(extended.ebx, 30), Isa::kAvx512},
      {"avx512vl", bit(extended.ebx, 31), Isa::kAvx512},
      {"avx512_vnni", bit(extended.ecx, 11), Isa::kAvx512Vnni},
  };
}

std::string isa_names() {
  std::string names;
  for (const Isa isa : kAllIsas) {
    if (!names.empty()) names += ", ";
    names += isa_name(isa);
  }
  return names;
}

}  // namespace

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx512Vnni:
      return "avx512vnni";
  }
  return "unknown";
}

std::optional<Isa> isa_by_name(std::string_view name) {
  for (const Isa isa : kAllIsas) {
    if (name == isa_name(isa)) return isa;
  }
  return std::nullopt;
}

std::string missing_features(Isa isa) {
  std::string missing;
  for (const Feature& feature : features()) {
    if (feature.present || feature.needed_from > isa) continue;
    if (!missing.empty()) missing += ", ";
    missing += feature.name;
  }
  return missing;
}

bool isa_present(Isa isa) { return missing_features(isa).empty(); }

Isa best_isa() {
  Isa best = Isa::kScalar;
  for (const Isa isa : kAllIsas) {
    if (isa_present(isa)) best = isa;
  }
  return best;
}

Isa choose_isa(std::string_view name) {
  if (name.empty()) return best_isa();
  const std::optional<Isa> isa = isa_by_name(name);
  if (!isa)
    fail(ErrorCode::kUsage, "unknown instruction set '{}': known are {}", name, isa_names());
  const std::string missing = missing_features(*isa);
  if (missing.empty()) return *isa;
  fail(ErrorCode::kUnsupported,
       "instruction set {} needs {}, which this machine lacks; best here is {}", name, missing,
       isa_name(best_isa()));
}

}  // namespace windlass
