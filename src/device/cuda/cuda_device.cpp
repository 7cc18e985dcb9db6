// NVIDIA devices: the one file of CUDA runtime calls. The runtime is linked statically and finds
// the driver's library when it is first called.
#include "src/device/cuda_device.h"

#include <cuda_runtime_api.h>

#include <array>
#include <cstdlib>

#include "src/base/units.h"
#include "src/device/cuda_absence.h"

namespace windlass {
namespace {

cudaStream_t stream_of(void* stream) { return static_cast<cudaStream_t>(stream); }
cudaEvent_t event_of(void* event) { return static_cast<cudaEvent_t>(event); }

int attribute(cudaDeviceAttr which, int ordinal) {
  int value = 0;  // stays where a driver does not know the attribute
  if (cudaDeviceGetAttribute(&value, which, ordinal) != cudaSuccess) cudaGetLastError();
  return value;
}

std::string bus_id_of(int ordinal) {
  std::array<char, 32> text{};
  const int size = static_cast<int>(text.size());
  if (cudaDeviceGetPCIBusId(text.data(), size, ordinal) != cudaSuccess) cudaGetLastError();
  return text.data();
}

DeviceInfo info_of(int ordinal) {
  DeviceInfo info;
  cudaDeviceProp properties{};
  if (cudaGetDeviceProperties(&properties, ordinal) != cudaSuccess) cudaGetLastError();
  info.name = properties.name;
  info.total_bytes = static_cast<std::int64_t>(properties.totalGlobalMem);
  info.compute_major = attribute(cudaDevAttrComputeCapabilityMajor, ordinal);
  info.compute_minor = attribute(cudaDevAttrComputeCapabilityMinor, ordinal);
  info.multiprocessors = attribute(cudaDevAttrMultiProcessorCount, ordinal);
  info.copy_engines = attribute(cudaDevAttrAsyncEngineCount, ordinal);
  info.pci = read_pci_link(bus_id_of(ordinal));
  return info;
}

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(const CudaDeviceOptions& options)
      : Device(info_of(options.ordinal), options.most_pinned_bytes) {}
  ~CudaDevice() override;
  DeviceMemory memory() override;

 private:
  void* new_stream() override;
  void* new_event() override;
  void record_event(void* stream, void* event) override;
  void hold_stream(void* stream, void* event) override;
  bool event_done(void* event) override;
  void wait_for_event(void* event) override;
  double event_distance_s(void* earlier, void* later) override;
  void start_copy(void* stream, const Copy& copy) override;
  std::byte* allocate(std::int64_t size_bytes) override;
  void deallocate(std::byte* base) noexcept override;
  bool lock_pages(std::span<std::byte> pages, std::string* why) override;
  void unlock_pages(std::span<std::byte> pages) noexcept override;
  void finish_all() noexcept override;
  void check(cudaError_t status, const char* what) const;

  std::vector<cudaStream_t> cuda_streams_;
  std::vector<cudaEvent_t> cuda_events_;
};

// Errors of work on the device show at any later call, and stay.
void CudaDevice::check(cudaError_t status, const char* what) const {
  if (status == cudaSuccess) return;
  fail(ErrorCode::kDevice,
       "{} cannot {}: {} ({}); start the program again, and see `nvidia-smi` and the kernel's log "
       "(Xid) if that does not help",
       info().name, what, cudaGetErrorString(status), cudaGetErrorName(status));
}

CudaDevice::~CudaDevice() {
  finish_all();
  for (cudaEvent_t event : cuda_events_) cudaEventDestroy(event);
  for (cudaStream_t stream : cuda_streams_) cudaStreamDestroy(stream);
}

DeviceMemory CudaDevice::memory() {
  std::size_t free_bytes = 0, total_bytes = 0;
  check(cudaMemGetInfo(&free_bytes, &total_bytes), "say how much memory is free");
  return {static_cast<std::int64_t>(free_bytes), static_cast<std::int64_t>(total_bytes)};
}

void* CudaDevice::new_stream() {
  cudaStream_t stream = nullptr;
  // Non-blocking: it does not wait for the default stream, which libraries may use.
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "make a stream");
  cuda_streams_.push_back(stream);
  return stream;
}

void* CudaDevice::new_event() {
  cudaEvent_t event = nullptr;
  // Waiting sleeps: the cores have kernels of their own to run.
  check(cudaEventCreateWithFlags(&event, cudaEventBlockingSync), "make an event");
  cuda_events_.push_back(event);
  return event;
}

void CudaDevice::record_event(void* stream, void* event) {
  check(cudaEventRecord(event_of(event), stream_of(stream)), "record an event");
}

void CudaDevice::hold_stream(void* stream, void* event) {
  check(cudaStreamWaitEvent(stream_of(stream), event_of(event), 0), "let a stream wait");
}

bool CudaDevice::event_done(void* event) {
  const cudaError_t status = cudaEventQuery(event_of(event));
  if (status == cudaErrorNotReady) return false;
  check(status, "run what was put on it");
  return true;
}

void CudaDevice::wait_for_event(void* event) {
  check(cudaEventSynchronize(event_of(event)), "run what was put on it");
}

double CudaDevice::event_distance_s(void* earlier, void* later) {
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, event_of(earlier), event_of(later)),
        "say the time between two events");
  return static_cast<double>(milliseconds) * 1e-3;
}

void CudaDevice::start_copy(void* stream, const Copy& copy) {
  const auto size = static_cast<std::size_t>(copy.size_bytes);
  if (copy.direction == Direction::kToDevice) {
    check(cudaMemcpyAsync(copy.device, copy.host, size, cudaMemcpyHostToDevice, stream_of(stream)),
          "copy from the host");
  } else {
    check(cudaMemcpyAsync(copy.host, copy.device, size, cudaMemcpyDeviceToHost, stream_of(stream)),
          "copy to the host");
  }
}

std::byte* CudaDevice::allocate(std::int64_t size_bytes) {
  void* base = nullptr;
  const cudaError_t status = cudaMalloc(&base, static_cast<std::size_t>(size_bytes));
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // takes the error back: the device is well
    return nullptr;
  }
  check(status, "reserve memory");
  return static_cast<std::byte*>(base);
}

void CudaDevice::deallocate(std::byte* base) noexcept { cudaFree(base); }

bool CudaDevice::lock_pages(std::span<std::byte> pages, std::string* why) {
  const cudaError_t status = cudaHostRegister(pages.data(), pages.size(), cudaHostRegisterDefault);
  if (status == cudaSuccess) return true;
  cudaGetLastError();
  *why = cudaGetErrorString(status);
  return false;
}

void CudaDevice::unlock_pages(std::span<std::byte> pages) noexcept {
  cudaHostUnregister(pages.data());
}

void CudaDevice::finish_all() noexcept { cudaDeviceSynchronize(); }

}  // namespace

std::variant<std::unique_ptr<Device>, NoDevice> open_cuda_device(const CudaDeviceOptions& options) {
  CudaAnswer answer;
  answer.ordinal = options.ordinal;
  answer.visible = std::getenv("CUDA_VISIBLE_DEVICES");
  cudaDriverGetVersion(&answer.driver_version);
  cudaRuntimeGetVersion(&answer.runtime_version);
  cudaError_t status = cudaGetDeviceCount(&answer.n_devices);
  const bool listed = options.ordinal >= 0 && options.ordinal < answer.n_devices;
  // Makes the context: a GPU that is listed may still refuse.
  if (status == cudaSuccess && listed) status = cudaSetDevice(options.ordinal);
  if (status == cudaSuccess && listed) return std::make_unique<CudaDevice>(options);
  cudaGetLastError();
  answer.status = status;
  answer.status_text = cudaGetErrorString(status);
  return explain_absence(answer);
}

}  // namespace windlass
