// What the kernels are asked to do: pointers, strides and sizes, and nothing of torch.
//
// The legend is PyTorch's: L steps, N rows in the batch, H units, K numbers of input. Strides
// count numbers, not bytes. A sequence is dense or packed, step t having batch_sizes[t] rows then.
#pragma once

#include <cstdint>

namespace elman {

enum class Nonlinearity : int { tanh, relu, identity };

// A loop over tasks, maybe on several threads, and how many of them there may be.
struct Parallel {
  int threads;
  void (*run)(int64_t tasks, void (*task)(int64_t begin, int64_t end, void*), void*);
};

struct Time {
  int64_t L, N;                // N: rows of the initial state
  const int64_t* batch_sizes;  // rows of every step, never increasing; null where always N
};

// Step t begins at starts[t] * step, or at t * step where there are no starts; its rows are `row`
// apart. Without data, absent.
template <class T>
struct Sequence {
  T* data;
  int64_t step, row;
  const int64_t* starts;
};

// A matrix anywhere in memory: the number in row k and column j is data[k * row + j * column].
template <class T>
struct Matrix {
  const T* data;
  int64_t row, column;
};

// Rows of numbers side by side, `row` apart. Without data, absent.
template <class T>
struct Lines {
  T* data;
  int64_t row;
};

// What every recurrence has: s_t is made of s_{t-1} M, for all t, into `out`.
template <class T>
struct Recurrence {
  int64_t H;
  bool reverse;
  Matrix<T> weight;        // M, (H, H)
  Lines<const T> initial;  // (N, H), for rows that begin; absent, they begin at zero
  Lines<const T> resume;   // the states before the first step here, where rows began earlier
  int64_t resumed;         // how many rows did
  Sequence<T> out;
};

// h_t = f(a_t + b + x_t Wx + h_{t-1} M); a, b and x may each be absent, a may be `out`
template <class T>
struct Scan : Recurrence<T> {
  Nonlinearity f;
  Sequence<const T> a;
  const T* bias;
  Sequence<const T> x;
  int64_t K;
  Matrix<T> x_weight;  // Wx, (K, H)
  Lines<T> last;       // each row's last h, (N, H); may be absent
};

// s_t = x_t + e_t ⊙ s_{t-1} + p_t ⊙ ((q_t ⊙ s_{t-1}) M); p, q and e may each be absent
template <class T>
struct LinearScan : Recurrence<T> {
  Sequence<const T> x, p, q, e;
};

// δ_t = f'(z_t) ⊙ (h̄_t + δ_{t+1} M), with f'(z_t) told from h_t. `reverse` is the direction of
// this recurrence, against that of the scan; M is the scan's Wᵀ's transpose, W.
template <class T>
struct Backward : Recurrence<T> {
  Nonlinearity f;
  Sequence<const T> h, h_bar;  // h̄ may be absent
  Lines<const T> last_bar;     // the gradient of each row's last h, (N, H); may be absent
};

// A scan's derivatives by everything it was made of: x, Wx and h_0 are the scan's and all there.
// `out` is not asked for: the δ_t are used up on the way.
template <class T>
struct Gradients : Backward<T> {
  Lines<const T> h_0;
  Sequence<const T> x;
  int64_t K;
  Matrix<T> x_weight;            // Wx as (H, K), for x̄
  Sequence<T> x_bar;             // added to what is there; may be absent
  T *weight_bar, *x_weight_bar;  // (H, H) and (H, K), both or neither; written, not added to
  T* bias_bar;                   // (H,), the same; absent if they are, or where there is no bias
  Lines<T> h_0_bar;              // (N, H), may be absent
};

// One layer of a network that goes step by step: f(x Wxᵀ + h Wᵀ + b), its weights as PyTorch has
// them, (H, K) and (H, H), contiguous. Without W, x Wxᵀ + b.
template <class T>
struct StreamLayer {
  int64_t K, H;
  const T *x_weight, *weight, *bias;
};
template <class T>
struct StreamSpec {
  int64_t N;
  Nonlinearity f;
  const StreamLayer<T>* layers;
  int64_t count;
};

enum class Status : int { ok, out_of_memory };

// `count` recurrences of one length and batch, as the two directions of a layer are, share the
// threads.
template <class T>
struct KernelsOf {
  Status (*scan)(const Scan<T>*, int64_t count, Time, Parallel);
  Status (*linear_scan)(const LinearScan<T>*, int64_t count, Time, Parallel);
  Status (*gradients)(const Gradients<T>*, int64_t count, Time, Parallel);
  void* (*open_stream)(const StreamSpec<T>&);  // null where memory runs out
  void (*step_stream)(void* stream, const T* x, T* y);
  void (*stream_state)(void* stream, T* out, const T* in);
  void (*close_stream)(void* stream);
};

// One instruction set's kernels.
struct Kernels {
  const char* instruction_set;
  KernelsOf<float> f32;
  KernelsOf<double> f64;
};

}  // namespace elman
