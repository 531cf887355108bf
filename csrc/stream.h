// A network of layers, one step at a time: it holds its weights in panels and its states.
#pragma once

#include <new>

#include "finish.h"
#include "threads.h"
#include "tiles.h"

namespace elman {
namespace {

template <class T>
class StreamOf {
 public:
  explicit StreamOf(const StreamSpec<T>& spec)
      : N_(spec.N), f_({spec.f, 0}), cut_(cut_for(spec.N)) {
    for (int64_t k = 0; k < spec.count; ++k) ok_ = add(spec.layers[k]) && ok_;
  }

  bool ok() const { return ok_; }

  void step(const T* x, T* y) {
    const Turn turn(busy_);
    const NoSubnormals here;
    int64_t K = layers_.front().x_weight.K();
    for (Layer& layer : layers_) {
      if (layer.recurrent) std::swap(layer.now, layer.before);
      T* const to = &layer == &layers_.back() ? y : layer.now.get();
      const int64_t H = layer.x_weight.H();
      multiply(layer, x, K, to);
      if (layer.recurrent && to == y) std::memcpy(layer.now.get(), y, N_ * H * sizeof(T));
      x = to;
      K = H;
    }
  }

  // The states of all recurrent layers, (layers, N, H), written to `out` or read from `in`.
  void state(T* out, const T* in) {
    const Turn turn(busy_);
    for (Layer& layer : layers_) {
      if (!layer.recurrent) continue;
      const int64_t size = N_ * layer.weight.H();
      if (out != nullptr) {
        std::memcpy(out, layer.now.get(), size * sizeof(T));
        out += size;
      } else {
        std::memcpy(layer.now.get(), in, size * sizeof(T));
        in += size;
      }
    }
  }

 private:
  struct Layer {
    bool recurrent;
    Panels<T> x_weight, weight;
    Buffer<T> bias, now, before;
  };

  bool add(const StreamLayer<T>& given) {
    const int64_t H = given.H, K = given.K;
    const bool recurrent = given.weight != nullptr;
    layers_.push_back({recurrent,
                       {K, H, cut_.widest},
                       {recurrent ? H : 0, H, cut_.widest},
                       buffer<T>(H),
                       buffer<T>(N_ * H),
                       buffer<T>(N_ * H)});
    Layer& layer = layers_.back();
    if (!layer.x_weight.ok() || !layer.weight.ok() || !layer.bias || !layer.now || !layer.before)
      return false;
    for (int64_t panel = 0; panel < layer.x_weight.count(); ++panel) {
      layer.x_weight.fill({given.x_weight, 1, K}, panel);
      if (recurrent) layer.weight.fill({given.weight, 1, H}, panel);
    }
    std::memcpy(layer.bias.get(), given.bias, H * sizeof(T));
    std::fill(layer.now.get(), layer.now.get() + N_ * H, T(0));
    std::fill(layer.before.get(), layer.before.get() + N_ * H, T(0));
    return true;
  }

  // to = f(x Wx + h W + b); without a recurrence, x Wx + b
  void multiply(const Layer& layer, const T* x, int64_t K, T* to) const {
    alignas(64) T sums[kTile<T>];
    const int64_t H = layer.x_weight.H();
    for (int64_t panel = 0; panel < layer.x_weight.count(); ++panel) {
      const int width = layer.x_weight.width(panel);
      each_tile(N_, cut_.tallest(width), [&](int64_t r, int n) {
        const Term<T> of_x{x + r * K, K, layer.x_weight.data(panel), K};
        const Term<T> of_h{layer.before.get() + r * H, H, layer.weight.data(panel), H};
        tile_for<T>(cut_, n, width)(of_x, layer.recurrent ? of_h : Term<T>{}, sums);
        const Product<T> product{0,     r,    1,  n,    layer.x_weight.first_column(panel),
                                 width, sums, {}, false};
        each_vector(product, H, [&](int64_t j, int64_t m) {
          return [&, j, m, bias = load(layer.bias.get() + j, m)](Vec<T> z, int64_t i) {
            z += bias;
            store(to + (r + i) * H + j, layer.recurrent ? f_.template value<T>(z) : z, m);
          };
        });
      });
    }
  }

  const int64_t N_;
  const Any<T> f_;
  const Cut cut_;
  bool ok_ = true;
  // Two threads that share a stream mix their states, but harm nothing.
  std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
  std::vector<Layer> layers_;
};

template <class T>
void* open_stream(const StreamSpec<T>& spec) {
  auto* stream = new (std::nothrow) StreamOf<T>(spec);
  if (stream == nullptr || stream->ok()) return stream;
  delete stream;
  return nullptr;
}
template <class T>
void step_stream(void* stream, const T* x, T* y) {
  static_cast<StreamOf<T>*>(stream)->step(x, y);
}
template <class T>
void stream_state(void* stream, T* out, const T* in) {
  static_cast<StreamOf<T>*>(stream)->state(out, in);
}
template <class T>
void close_stream(void* stream) {
  delete static_cast<StreamOf<T>*>(stream);
}

}  // namespace
}  // namespace elman
