# Flags and the one way to declare a library: windlass_library(NAME DEPS ...) builds every .cpp below its folder.
add_library(windlass_flags INTERFACE)
# nvcc's own code is not pedantic, so its host compiler gets the rest of the warnings.
target_compile_options(windlass_flags INTERFACE
  "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wconversion;-Werror>"
  "$<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings;-Xcompiler=-Wall,-Wextra,-Wshadow,-Wconversion,-Werror>")
target_compile_features(windlass_flags INTERFACE cxx_std_20)
target_include_directories(windlass_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(windlass_flags INTERFACE WINDLASS_VERSION="${PROJECT_VERSION}")
if(WINDLASS_SANITIZE)
  # g++ 12 sees uninitialised members in libstdc++'s <regex> and <functional> when instrumented: false alarms.
  target_compile_options(windlass_flags INTERFACE
    "$<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${WINDLASS_SANITIZE};-fno-omit-frame-pointer;-fno-sanitize-recover=all>"
    "$<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wno-maybe-uninitialized>")
  target_link_options(windlass_flags INTERFACE -fsanitize=${WINDLASS_SANITIZE})
endif()

function(windlass_library name)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PUBLIC windlass_flags ${ARG_DEPS})
endfunction()
