// Catch2 v2 (Debian 12) and v3 alike.
#pragma once

#ifdef WINDLASS_CATCH_V2
#include <catch2/catch.hpp>
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
#else
#include <catch2/catch_all.hpp>
using Catch::Approx;
using Catch::Matchers::StartsWith;
inline auto Contains(const std::string& text) { return Catch::Matchers::ContainsSubstring(text); }
#endif
