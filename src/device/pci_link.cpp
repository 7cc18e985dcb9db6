#include "src/device/pci_link.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <string_view>

namespace windlass {
namespace {

struct Generation {
  double gigatransfers_per_s;
  const char* name;
  double payload;  // bits of data for each bit on the wire
};
// Line codes: 8b/10b up to 2.0, then 128b/130b; 6.0 sends 236 bytes of data in 256.
constexpr Generation kGenerations[] = {
    {2.5, "1.0", 8.0 / 10},   {5, "2.0", 8.0 / 10},     {8, "3.0", 128.0 / 130},
    {16, "4.0", 128.0 / 130}, {32, "5.0", 128.0 / 130}, {64, "6.0", 236.0 / 256},
};

const Generation* generation_of(double gigatransfers_per_s) {
  const auto* found = std::find_if(
      std::begin(kGenerations), std::end(kGenerations),
      [&](const Generation& one) { return one.gigatransfers_per_s == gigatransfers_per_s; });
  return found == std::end(kGenerations) ? nullptr : found;
}

template <typename Number>
Number read_number(const std::string& path, Number unknown) {
  Number number = unknown;
  return std::ifstream(path) >> number ? number : unknown;
}

}  // namespace

double PciLink::bytes_per_s() const {
  const Generation* generation = generation_of(gigatransfers_per_s);
  if (generation == nullptr) return 0;
  return gigatransfers_per_s * 1e9 / 8 * generation->payload * lanes;
}

std::string PciLink::text() const {
  if (bytes_per_s() == 0) return {};
  return fmt::format("PCIe {} x{}, {:.1f} GB/s", generation_of(gigatransfers_per_s)->name, lanes,
                     bytes_per_s() / 1e9);
}

PciLink read_pci_link(const std::string& bus_id, const std::string& sysfs) {
  PciLink link;
  link.bus_id = bus_id;
  std::transform(bus_id.begin(), bus_id.end(), link.bus_id.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const std::string folder = fmt::format("{}/bus/pci/devices/{}", sysfs, link.bus_id);
  link.numa_node = read_number(folder + "/numa_node", -1);
  // The slot may have fewer lanes than the card: what is negotiated counts. Its speed is lowered
  // while idle, so there the most counts. Unknown widths read as 0, 63 or 255.
  const int lanes = read_number(folder + "/current_link_width", 0);
  link.lanes = lanes >= 1 && lanes <= 32 ? lanes : 0;
  link.gigatransfers_per_s = read_number(folder + "/max_link_speed", 0.0);  // "16.0 GT/s PCIe"
  return link;
}

}  // namespace windlass
