# WINDLASS_CUDA: NVIDIA GPUs, where a CUDA toolkit is found (AUTO), in any case (ON), or never (OFF). Sets WINDLASS_WITH_CUDA.
# The runtime is linked statically, so that what is built needs no toolkit and starts without a driver.
set(WINDLASS_CUDA AUTO CACHE STRING "NVIDIA GPUs: AUTO (when there is a CUDA toolkit), ON or OFF")
set_property(CACHE WINDLASS_CUDA PROPERTY STRINGS AUTO ON OFF)
if(NOT WINDLASS_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "WINDLASS_CUDA is '${WINDLASS_CUDA}': AUTO, ON or OFF is wanted")
endif()

set(WINDLASS_WITH_CUDA OFF)
if(NOT WINDLASS_CUDA STREQUAL "OFF")
  find_package(CUDAToolkit 12 QUIET)
  if(TARGET CUDA::cudart_static AND CUDAToolkit_NVCC_EXECUTABLE)
    set(WINDLASS_WITH_CUDA ON)
  elseif(WINDLASS_CUDA STREQUAL "ON")
    message(FATAL_ERROR "WINDLASS_CUDA is ON, but no CUDA toolkit of version 12 or newer with nvcc and libcudart_static.a is found "
                        "(found: '${CUDAToolkit_VERSION}'); install one, say where it is with -DCUDAToolkit_ROOT=DIR, or build "
                        "with -DWINDLASS_CUDA=OFF")
  endif()
endif()
if(WINDLASS_WITH_CUDA)
  if(NOT CMAKE_CUDA_COMPILER)
    set(CMAKE_CUDA_COMPILER ${CUDAToolkit_NVCC_EXECUTABLE})
  endif()
  if(CCACHE_PROGRAM AND NOT CMAKE_CUDA_COMPILER_LAUNCHER)
    set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
  endif()
  enable_language(CUDA)
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25.1 does not know that nvcc has it
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  endif()
  message(STATUS "CUDA: toolkit ${CUDAToolkit_VERSION} in ${CUDAToolkit_BIN_DIR}")
else()
  message(STATUS "CUDA: none, NVIDIA GPUs will not be used (WINDLASS_CUDA=${WINDLASS_CUDA})")
endif()
