// The slot that a device sits in, as Linux shows it: what a plan may expect of copies, before any
// is measured.
#pragma once

#include <string>

namespace windlass {

struct PciLink {
  std::string bus_id;              // "0000:c1:00.0"; empty where the device is on no bus
  int numa_node = -1;              // whose memory is nearest; -1: one node, or not known
  int lanes = 0;                   // 0: not known (virtual machines often hide it)
  double gigatransfers_per_s = 0;  // of a lane, at best: links of idle devices run slower
  // One direction's bytes on the wire, before packets' overhead; 0 where not known.
  double bytes_per_s() const;
  // "PCIe 4.0 x16, 31.5 GB/s"; empty where not known.
  std::string text() const;
};

// bus_id in any case; sysfs is "/sys" but in tests. What cannot be read stays unknown.
PciLink read_pci_link(const std::string& bus_id, const std::string& sysfs = "/sys");

}  // namespace windlass
