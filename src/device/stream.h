// A device's queue: what is put on it runs in order. Only a device makes one, so the default stream,
// on which everything waits for everything, has no name here.
#pragma once

namespace windlass {

// Plain data; the device that made it owns the queue and outlives it.
class Stream {
 public:
  // cudaStream_t where the device has one.
  void* native() const { return native_; }
  bool operator==(const Stream&) const = default;

 private:
  friend class StreamMaker;
  explicit Stream(void* native) : native_(native) {}
  void* native_;
};

// Base of what may make streams: devices, and the emulation of kernels on the CPU.
class StreamMaker {
 protected:
  static Stream make_stream(void* native) { return Stream(native); }
};

}  // namespace windlass
