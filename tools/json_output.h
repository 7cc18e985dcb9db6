// JSON on standard output.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace windlass {

// One line; text that is not UTF-8 comes out with U+FFFD.
std::string json_text(const nlohmann::json& value);
void print_json(const nlohmann::json& value);

}  // namespace windlass
