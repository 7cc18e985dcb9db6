// Which instruction sets this CPU has and this operating system saves (cpuid, XCR0), and the choice
// among the tables.
#include <cpuid.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

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

// Tile data is 8 KiB of each thread's state, which Linux gives to processes that ask (since 5.16;
// the numbers are those of its asm/prctl.h). Threads of before and after have it too.
bool tiles_are_granted() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  static const bool granted = ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return granted;
}

struct Feature {
  const char* name;
  bool present;
  Isa needed_from;  // by this set and those that add to it
};

std::vector<Feature> features() {
  const Registers base = cpuid(1, 0), extended = cpuid(7, 0), more = cpuid(7, 1);
  const std::uint64_t saved = saved_state();
  const auto bit = [](unsigned word, int index) { return ((word >> index) & 1u) != 0; };
  constexpr std::uint64_t kAvxState = 0x6, kAvx512State = 0xe6, kTileState = 0x60000;
  const bool tiles_saved = (saved & kTileState) == kTileState;
  return {
      {"avx state saved by the operating system", (saved & kAvxState) == kAvxState, Isa::kAvx2},
      {"avx2", bit(extended.ebx, 5), Isa::kAvx2},
      {"fma", bit(base.ecx, 12), Isa::kAvx2},
      {"f16c", bit(base.ecx, 29), Isa::kAvx2},
      {"avx_vnni", bit(more.eax, 4), Isa::kAvxVnni},
      {"avx512 state saved by the operating system", (saved & kAvx512State) == kAvx512State,
       Isa::kAvx512},
      {"avx512f", bit(extended.ebx, 16), Isa::kAvx512},
      {"avx512dq", bit(extended.ebx, 17), Isa::kAvx512},
      {"avx512bw", bit(extended.ebx, 30), Isa::kAvx512},
      {"avx512vl", bit(extended.ebx, 31), Isa::kAvx512},
      {"avx512_vnni", bit(extended.ecx, 11), Isa::kAvx512Vnni},
      {"avx512_bf16", bit(more.eax, 5), Isa::kAvx512Bf16},
      {"amx_tile", bit(extended.edx, 24), Isa::kAmx},
      {"amx_int8", bit(extended.edx, 25), Isa::kAmx},
      {"amx_bf16", bit(extended.edx, 22), Isa::kAmx},
      {"tile state saved by the operating system", tiles_saved, Isa::kAmx},
      {"the operating system's leave to use tiles", tiles_saved && tiles_are_granted(), Isa::kAmx},
  };
}

bool includes(Isa isa, Isa part) {
  while (isa != part && isa != Isa::kScalar) isa = base_isa(isa);
  return isa == part;
}

// "scalar, avx2, ...": all, or those that this machine has.
std::string isa_names(bool present_only) {
  std::string names;
  for (const Isa isa : kAllIsas) {
    if (present_only && !isa_present(isa)) continue;
    if (!names.empty()) names += ", ";
    names += isa_name(isa);
  }
  return names;
}

// Intel's vdpbf16ps starts every other cycle: 86 GFLOP/s a core on a Sapphire Rapids class guest,
// where f32 multiply-adds give 175. So products of rounded activations are worth asking for on
// other CPUs only.
bool has_slow_pairs() {
  const Registers vendor = cpuid(0, 0);
  return vendor.ebx == signature_INTEL_ebx && vendor.edx == signature_INTEL_edx &&
         vendor.ecx == signature_INTEL_ecx;
}

}  // namespace

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvxVnni:
      return "avxvnni";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx512Vnni:
      return "avx512vnni";
    case Isa::kAvx512Bf16:
      return "avx512bf16";
    case Isa::kAmx:
      return "amx";
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
    if (feature.present || !includes(isa, feature.needed_from)) continue;
    if (!missing.empty()) missing += ", ";
    missing += feature.name;
  }
  return missing;
}

bool isa_present(Isa isa) { return missing_features(isa).empty(); }

Isa best_isa() {
  Isa best = Isa::kScalar;
  for (const Isa isa : kAllIsas) {
    if (isa == Isa::kAvx512Bf16 && has_slow_pairs()) continue;
    if (isa_present(isa)) best = isa;
  }
  return best;
}

Isa choose_isa(std::string_view name) {
  if (name.empty()) return best_isa();
  const std::optional<Isa> isa = isa_by_name(name);
  if (!isa)
    fail(ErrorCode::kUsage, "unknown instruction set '{}': known are {}, and this machine has {}",
         name, isa_names(false), isa_names(true));
  const std::string missing = missing_features(*isa);
  if (missing.empty()) return *isa;
  fail(ErrorCode::kUnsupported, "instruction set {} needs {}, which this machine lacks; it has {}",
       name, missing, isa_names(true));
}

}  // namespace windlass
