// What the kernels are asked to do: pointers, strides and sizes, and nothing of torch.
//
// The legend is PyTorch's: L steps, N rows in the batch, H units, K numbers of input. Strides
// count numbers, not bytes. A sequence is dense or packed, step t having batch_sizes[t] rows then.
#pragma once

#include <cstdint>

namespace elman {

enum class Nonlinearity : int {
  tanh,
  relu,
  identity,
  sigmoid,
  hardtanh,
  hardsigmoid,
  leaky_relu,
  elu,
  selu,
  softsign,
  softplus
};
constexpr int kNonlinearities = 11;

// f, of z held within ±bound first where bound is above zero.
struct Activation {
  Nonlinearity f;
  double bound;
};

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

// What multiplies a sequence, place by place: numbers, or flags of a byte, one or zero. It may be
// the same at all steps or for all rows, with `step` or `row` zero, and in all columns, with
// `single`. With neither, absent.
template <class T>
struct Factor {
  const T* data;
  const uint8_t* flags;
  int64_t step, row;
  const int64_t* starts;
  bool single;
  bool here() const { return data != nullptr || flags != nullptr; }
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

// What lies between the states of a scan, with h' = r_t ⊙ h_{t-1} for what is left of the last one:
// h_t = e_t ⊙ h' + g_t ⊙ f(... + (q_t ⊙ h') M). Each may be absent: then r, q and g are one, and e
// is 1 - g, so zero without g.
template <class T>
struct Gates {
  Factor<T> g, q, e, r;
  bool carry() const { return g.here() || e.here(); }
  bool inside() const { return q.here() || r.here(); }
  bool any() const { return carry() || inside(); }
};

// What is done to z, row by row, before f: γ ⊙ (z - mean) / √(variance + eps) + β. Absent without
// γ.
template <class T>
struct Norm {
  const T *weight, *bias;
  double eps;
  bool here() const { return weight != nullptr; }
};

// h_t = f(a_t + b + x_t Wx + h_{t-1} M), and what the gates make of it; a, b and x may each be
// absent, a may be `out`
template <class T>
struct Scan : Recurrence<T> {
  Activation f;
  Sequence<const T> a;
  const T* bias;
  Sequence<const T> x;
  int64_t K;
  Matrix<T> x_weight;  // Wx, (K, H)
  Lines<T> last;       // each row's last h, (N, H); may be absent
  Gates<T> gates;
  Sequence<T> y;  // what f gave; absent where it is h, or not asked for
  Norm<T> norm;
  Sequence<T> normed,
      scales;  // (z - mean) / √(variance + eps), and its divisor's inverse, one a row
};

// s_t = x_t + e_t ⊙ s_{t-1} + p_t ⊙ ((q_t ⊙ s_{t-1}) M); p, q and e may each be absent
template <class T>
struct LinearScan : Recurrence<T> {
  Sequence<const T> x, p, q, e;
};

// δ_t = f'(z_t) ⊙ g_t ⊙ λ_t with λ_t = h̄_t + r_{t+1} ⊙ (e_{t+1} ⊙ λ_{t+1} + q_{t+1} ⊙ (δ_{t+1} M)),
// and f'(z_t) told from y_t, or from h_t. `reverse` is the direction of this recurrence, against that
// of the scan; M is the scan's Wᵀ's transpose, W.
template <class T>
struct Backward : Recurrence<T> {
  Activation f;
  Sequence<const T> h, h_bar;  // h̄ may be absent
  Lines<const T> last_bar;     // the gradient of each row's last h, (N, H); may be absent
  Gates<T> gates;              // of the scan
  Sequence<const T> y;         // absent where h is y, but for units whose g is zero
  Sequence<T> lambda;          // λ_t; may be absent
  Norm<T> norm;
  Sequence<const T> normed, scales;  // with it; then δ is not f' ⊙ g ⊙ λ, which comes to `within`
  Sequence<T> within;
  Lines<T> carried;  // r ⊙ e ⊙ λ of the step after, (N, H), where the gates carry
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
  T* g_bar;  // (H,): Σ λ ⊙ (y - r ⊙ h before), the gradient of a g of each unit; may be absent
  T *norm_weight_bar, *norm_bias_bar;  // (H,) each, both or neither
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
  void (*draw_mask)(uint64_t key, int32_t edge, int64_t size, uint8_t* to, Parallel);
  KernelsOf<float> f32;
  KernelsOf<double> f64;
};

}  // namespace elman
