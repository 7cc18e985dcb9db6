#include "tools/json_output.h"

#include "tools/files.h"

namespace windlass {

std::string json_text(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void print_json(const nlohmann::json& value) { print(json_text(value) + "\n"); }

}  // namespace windlass
