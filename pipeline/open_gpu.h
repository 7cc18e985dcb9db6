// From --vram to a GPU that an engine can use.
#pragma once

#include "pipeline/engine.h"
#include "pipeline/profile.h"

namespace windlass {

// Where options.vram_bytes asks for a GPU: opens it for the engine, and measures it (some tenths of
// a second) unless the profile knows one. Error(kUnsupported) where there is none that can be used,
// Error(kNoSpace) where it has not so much free memory; both say what to do.
void use_gpu(EngineOptions& options, Profile& profile);

}  // namespace windlass
