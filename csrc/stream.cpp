// Streams for Python, called without torch: a step of a small network takes less time than torch
// takes to call an operator.
#include <memory>
#include <new>
#include <vector>

#include "kernels.h"

namespace elman {
namespace {

// A stream keeps to the kernels it began with.
struct Stream {
  const Kernels* kernels;
  bool is_double;
  void* of;
};

template <class T>
void* open(const Kernels& kernels, int64_t N, int f, int64_t count, const int64_t* sizes,
           const void* const* weights) {
  std::vector<StreamLayer<T>> layers;
  for (int64_t k = 0; k < count; ++k) {
    const auto weight = [&](int64_t i) { return static_cast<const T*>(weights[3 * k + i]); };
    layers.push_back({sizes[k], sizes[k + 1], weight(0), weight(1), weight(2)});
  }
  return kernels_for<T>(kernels).open_stream(
      {N, static_cast<Nonlinearity>(f), layers.data(), count});
}

}  // namespace
}  // namespace elman

#define ELMAN_API extern "C" __attribute__((visibility("default")))

// `count` layers of sizes[k] inputs and sizes[k + 1] units; of each the weight of its input, its
// recurrent weight (null: a linear layer) and its bias, contiguous. Null where memory runs out.
ELMAN_API void* elman_stream_open(int is_double, int64_t N, int f, int64_t count,
                                  const int64_t* sizes, const void* const* weights) {
  using namespace elman;
  const Kernels& now = kernels();
  try {
    auto stream = std::make_unique<Stream>(Stream{&now, is_double != 0, nullptr});
    stream->of = is_double ? open<double>(now, N, f, count, sizes, weights)
                           : open<float>(now, N, f, count, sizes, weights);
    return stream->of == nullptr ? nullptr : stream.release();
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

ELMAN_API void elman_stream_step(void* handle, const void* x, void* y) {
  const auto& s = *static_cast<elman::Stream*>(handle);
  if (s.is_double)
    s.kernels->f64.step_stream(s.of, static_cast<const double*>(x), static_cast<double*>(y));
  else
    s.kernels->f32.step_stream(s.of, static_cast<const float*>(x), static_cast<float*>(y));
}

// Writes the states to `out`, or, where that is null, sets them from `in`.
ELMAN_API void elman_stream_state(void* handle, void* out, const void* in) {
  const auto& s = *static_cast<elman::Stream*>(handle);
  if (s.is_double)
    s.kernels->f64.stream_state(s.of, static_cast<double*>(out), static_cast<const double*>(in));
  else
    s.kernels->f32.stream_state(s.of, static_cast<float*>(out), static_cast<const float*>(in));
}

ELMAN_API void elman_stream_close(void* handle) {
  auto* s = static_cast<elman::Stream*>(handle);
  (s->is_double ? s->kernels->f64.close_stream : s->kernels->f32.close_stream)(s->of);
  delete s;
}
