// The kernels as PyTorch operators: what is built here runs with any later torch and any Python.
#include <tuple>

#include "tensors.h"

namespace elman {
namespace {

// --- scan and linear_scan --------------------------------------------------------------------

// What both share: groups side by side, (..., G, H) with a weight of (G, H, H), or none.
struct Groups {
  int64_t G, H, of_weight, of_initial, of_sequence, of_out;

  Groups(const Tensor& weight, const Tensor& initial, const Tensor& x, const Tensor& out) {
    const bool grouped = weight.dim() == 3;
    G = grouped ? weight.size(0) : 1;
    H = weight.size(weight.dim() - 1);
    of_weight = grouped ? weight.stride(0) : 0;
    of_initial = grouped ? initial.stride(1) : 0;
    of_sequence = grouped ? x.stride(x.dim() - 2) : 0;
    of_out = grouped ? out.stride(out.dim() - 2) : 0;
  }
};

Sizes row_of(const Tensor& weight) {
  const int64_t dims = weight.dim();
  STD_TORCH_CHECK((dims == 2 || dims == 3) && weight.size(dims - 1) == weight.size(dims - 2),
                  "elman: the weight should be (H, H) or (G, H, H)");
  return dims == 2 ? Sizes{weight.size(1)} : Sizes{weight.size(0), weight.size(1)};
}

Sizes with_rows(int64_t N, const Sizes& row) {
  Sizes sizes{N};
  sizes.insert(sizes.end(), row.begin(), row.end());
  return sizes;
}

int64_t rows_of(const char* name, const Tensor& initial) {
  STD_TORCH_CHECK(initial.dim() >= 1, "elman: ", name, " should have rows");
  return initial.size(0);
}

// A sequence, a weight and an initial state that go together.
struct Given {
  const Sizes row;  // of a step: (H,) or (G, H)
  const Steps steps;

  Given(const char* x_name, const Tensor& x, const char* weight_name, const Tensor& weight,
        const char* initial_name, const Tensor& initial, const std::optional<Tensor>& batch_sizes)
      : row(row_of(weight)), steps(x, rows_of(initial_name, initial), batch_sizes) {
    const ScalarType dtype = x.scalar_type();
    check_tensor(x_name, x, dtype, shape());
    check_tensor(weight_name, weight, dtype,
                 row.size() == 1 ? Sizes{row[0], row[0]} : Sizes{row[0], row[1], row[1]});
    check_tensor(initial_name, initial, dtype, with_rows(initial.size(0), row));
  }

  Sizes shape() const { return steps.shape(row); }
};

template <class T>
void set_recurrence(Recurrence<T>& to, const Groups& groups, int64_t g, bool reverse,
                    const Tensor& weight, bool transposed, const Tensor& initial, const Tensor& out,
                    const Steps& steps) {
  const int64_t last = weight.dim() - 1;
  const int64_t out_stride = weight.stride(last - 1), in_stride = weight.stride(last);
  to.H = groups.H;
  to.reverse = reverse;
  to.weight = {data_of<const T>(weight) + g * groups.of_weight, transposed ? in_stride : out_stride,
               transposed ? out_stride : in_stride};
  to.initial = {data_of<const T>(initial) + g * groups.of_initial, initial.stride(0)};
  to.out = sequence<T>(out, steps, g * groups.of_out);
}

Tensor scan(Tensor a, Tensor weight, Tensor h_0, int64_t f, std::optional<Tensor> batch_sizes,
            bool reverse) {
  const Given given("a", a, "weight_hh", weight, "h_0", h_0, batch_sizes);
  const Steps& steps = given.steps;
  a = even(a);
  h_0 = even(h_0);
  const Tensor out = empty(given.shape(), a.scalar_type());
  if (out.numel() == 0) return out;
  with_type(a, [&](auto zero) {
    using T = decltype(zero);
    const Groups groups(weight, h_0, a, out);
    std::vector<Scan<T>> scans(groups.G);
    for (int64_t g = 0; g < groups.G; ++g) {
      set_recurrence<T>(scans[g], groups, g, reverse, weight, true, h_0, out, steps);
      scans[g].f = nonlinearity(f);
      scans[g].a = sequence<const T>(a, steps, g * groups.of_sequence);
    }
    check(kernels_for<T>(kernels()).scan(scans.data(), groups.G, steps.time(), parallel()));
  });
  return out;
}

Tensor linear_scan(Tensor x, Tensor weight, Tensor s_0, std::optional<Tensor> p,
                   std::optional<Tensor> q, std::optional<Tensor> e,
                   std::optional<Tensor> batch_sizes, bool reverse) {
  const Given given("x", x, "weight", weight, "s_0", s_0, batch_sizes);
  const Steps& steps = given.steps;
  const ScalarType dtype = x.scalar_type();
  if (p.has_value()) check_tensor("p", *p, dtype, given.shape());
  if (q.has_value()) check_tensor("q", *q, dtype, given.shape());
  if (e.has_value()) check_tensor("e", *e, dtype, given.shape());
  x = even(x);
  s_0 = even(s_0);
  p = even(p);
  q = even(q);
  e = even(e);
  const Tensor out = empty(given.shape(), dtype);
  if (out.numel() == 0) return out;
  const bool grouped = weight.dim() == 3;
  const auto group_of = [&](const std::optional<Tensor>& t, int64_t g) {
    return grouped && t.has_value() ? g * t->stride(t->dim() - 2) : 0;
  };
  with_type(x, [&](auto zero) {
    using T = decltype(zero);
    const Groups groups(weight, s_0, x, out);
    std::vector<LinearScan<T>> scans(groups.G);
    for (int64_t g = 0; g < groups.G; ++g) {
      set_recurrence<T>(scans[g], groups, g, reverse, weight, false, s_0, out, steps);
      scans[g].x = sequence<const T>(x, steps, g * groups.of_sequence);
      scans[g].p = sequence<const T>(p, steps, group_of(p, g));
      scans[g].q = sequence<const T>(q, steps, group_of(q, g));
      scans[g].e = sequence<const T>(e, steps, group_of(e, g));
    }
    check(kernels_for<T>(kernels()).linear_scan(scans.data(), groups.G, steps.time(), parallel()));
  });
  return out;
}

// --- a layer ---------------------------------------------------------------------------------

// One layer of a network, D directions: the weights of each in torch's order.
struct Layer {
  Tensor x, h_0;
  std::vector<Tensor> weights;
  int64_t D, N, H, K, each;
  ScalarType dtype;
  Steps steps;

  Layer(const Tensor& input, const Tensor& initial, const std::vector<Tensor>& given, bool bias,
        const std::optional<Tensor>& batch_sizes)
      : x(even(input)),
        h_0(even(initial)),
        weights(given),
        D(initial.dim() == 3 ? initial.size(0) : 0),
        N(initial.dim() == 3 ? initial.size(1) : 0),
        H(initial.dim() == 3 ? initial.size(2) : 0),
        K(input.dim() > 0 ? input.size(input.dim() - 1) : 0),
        each(bias ? 4 : 2),
        dtype(input.scalar_type()),
        steps(input, N, batch_sizes) {
    STD_TORCH_CHECK(h_0.dim() == 3 && (D == 1 || D == 2),
                    "elman: h_0 should be (D, N, H) with one direction or two");
    check_tensor("h_0", h_0, dtype, {D, N, H});
    check_tensor("input", x, dtype, steps.shape({K}));
    STD_TORCH_CHECK(static_cast<int64_t>(weights.size()) == D * each, "elman: ", D,
                    " directions should have ", each, " weights each, got ", weights.size(),
                    " in all");
    for (int64_t d = 0; d < D; ++d) {
      check_tensor("weight_ih", weight_ih(d), dtype, {H, K});
      check_tensor("weight_hh", weight_hh(d), dtype, {H, H});
      for (int64_t k = 2; k < each; ++k) check_tensor("bias", weights[d * each + k], dtype, {H});
    }
  }

  const Tensor& weight_ih(int64_t d) const { return weights[d * each]; }
  const Tensor& weight_hh(int64_t d) const { return weights[d * each + 1]; }

  // A sequence with so many numbers in a row, its steps and rows in memory as those of x.
  Tensor like_x(int64_t numbers) const {
    const Sizes sizes = steps.shape({numbers});
    if (steps.packed() || x.stride(0) >= x.stride(1)) return empty(sizes, dtype);
    return empty(sizes, {numbers, sizes[0] * numbers, 1}, dtype);
  }

  template <class T>
  Lines<const T> initial(int64_t d) const {
    return {h_0.numel() == 0 ? nullptr : data_of<const T>(h_0) + d * h_0.stride(0), h_0.stride(1)};
  }

  // b_ih + b_hh of every direction, (D, H); nothing without biases
  template <class T>
  std::vector<T> biases() const {
    std::vector<T> sum;
    for (int64_t d = 0; each == 4 && d < D; ++d) {
      const Tensor &ih = weights[d * each + 2], &hh = weights[d * each + 3];
      const T *u = data_of<const T>(ih), *v = data_of<const T>(hh);
      for (int64_t j = 0; j < H; ++j) sum.push_back(u[j * ih.stride(0)] + v[j * hh.stride(0)]);
    }
    return sum;
  }
};

std::tuple<Tensor, Tensor> layer(Tensor x, Tensor h_0, std::vector<Tensor> weights, bool bias,
                                 int64_t f, std::optional<Tensor> batch_sizes) {
  const Layer layer(x, h_0, weights, bias, batch_sizes);
  const auto [D, N, H] = std::tuple(layer.D, layer.N, layer.H);
  const Tensor output = empty(layer.steps.shape({D * H}), layer.dtype);
  const Tensor h_n = empty({D, N, H}, layer.dtype);
  if (h_n.numel() == 0) return {output, h_n};
  with_type(layer.x, [&](auto zero) {
    using T = decltype(zero);
    const std::vector<T> biases = layer.biases<T>();
    std::vector<Scan<T>> scans(D);
    for (int64_t d = 0; d < D; ++d) {
      Scan<T>& scan = scans[d];
      const Tensor &W = layer.weight_hh(d), &Wx = layer.weight_ih(d);
      scan.H = H;
      scan.reverse = d == 1;
      scan.weight = {data_of<const T>(W), W.stride(1), W.stride(0)};
      scan.initial = layer.initial<T>(d);
      scan.out = sequence<T>(output, layer.steps, d * H);
      scan.f = nonlinearity(f);
      scan.bias = biases.empty() ? nullptr : biases.data() + d * H;
      scan.x = sequence<const T>(layer.x, layer.steps);
      scan.K = layer.K;
      scan.x_weight = {data_of<const T>(Wx), Wx.stride(1), Wx.stride(0)};
      scan.last = {data_of<T>(h_n) + d * N * H, H};
    }
    check(kernels_for<T>(kernels()).scan(scans.data(), D, layer.steps.time(), parallel()));
  });
  return {output, h_n};
}

// Of what is wanted, 1 for x, 2 for h_0 and 4 for the weights: x̄, h̄_0 and each weight's; an
// empty tensor for what is not.
std::vector<Tensor> layer_backward(std::optional<Tensor> output_bar, std::optional<Tensor> h_n_bar,
                                   Tensor x, Tensor h_0, Tensor output, std::vector<Tensor> weights,
                                   bool bias, int64_t f, std::optional<Tensor> batch_sizes,
                                   int64_t wanted) {
  const Layer layer(x, h_0, weights, bias, batch_sizes);
  const auto [D, N, H] = std::tuple(layer.D, layer.N, layer.H);
  check_tensor("output", output, layer.dtype, layer.steps.shape({D * H}));
  if (output_bar.has_value())
    check_tensor("the gradient of output", *output_bar, layer.dtype, layer.steps.shape({D * H}));
  if (h_n_bar.has_value()) check_tensor("the gradient of h_n", *h_n_bar, layer.dtype, {D, N, H});
  output = even(output);
  output_bar = even(output_bar);
  h_n_bar = even(h_n_bar);
  const auto made = [&](bool wants, const Sizes& sizes) {
    return empty(wants ? sizes : Sizes{0}, layer.dtype);
  };
  Tensor x_bar = (wanted & 1) != 0 ? layer.like_x(layer.K) : made(false, {});
  zero(x_bar);  // both directions add to it
  std::vector<Tensor> bars{x_bar, made((wanted & 2) != 0, {D, N, H})};
  for (int64_t d = 0; d < D; ++d) {
    const bool wants = (wanted & 4) != 0;
    bars.push_back(made(wants, {H, layer.K}));
    bars.push_back(made(wants, {H, H}));
    for (int64_t k = 2; k < layer.each; ++k) bars.push_back(made(wants, {H}));
  }
  if (N == 0 || H == 0) {
    for (Tensor& bar : bars) zero(bar);
    return bars;
  }
  with_type(layer.x, [&](auto zero) {
    using T = decltype(zero);
    const auto place = [](const Tensor& t) { return t.numel() == 0 ? nullptr : data_of<T>(t); };
    std::vector<Gradients<T>> asked(D);
    for (int64_t d = 0; d < D; ++d) {
      Gradients<T>& to = asked[d];
      const Tensor &W = layer.weight_hh(d), &Wx = layer.weight_ih(d);
      to.H = H;
      to.reverse = d == 0;
      to.weight = {data_of<const T>(W), W.stride(0), W.stride(1)};
      to.f = nonlinearity(f);
      to.h = sequence<const T>(output, layer.steps, d * H);
      to.h_bar = sequence<const T>(output_bar, layer.steps, d * H);
      if (h_n_bar.has_value() && h_n_bar->numel() > 0)
        to.last_bar = {data_of<const T>(*h_n_bar) + d * h_n_bar->stride(0), h_n_bar->stride(1)};
      to.h_0 = layer.initial<T>(d);
      to.x = sequence<const T>(layer.x, layer.steps);
      to.K = layer.K;
      to.x_weight = {data_of<const T>(Wx), Wx.stride(0), Wx.stride(1)};
      if ((wanted & 1) != 0) to.x_bar = sequence<T>(bars[0], layer.steps);
      if (bars[1].numel() > 0) to.h_0_bar = {data_of<T>(bars[1]) + d * N * H, H};
      to.x_weight_bar = place(bars[2 + d * layer.each]);
      to.weight_bar = place(bars[3 + d * layer.each]);
      if (layer.each == 4) to.bias_bar = place(bars[4 + d * layer.each]);
    }
    check(kernels_for<T>(kernels()).gradients(asked.data(), D, layer.steps.time(), parallel()));
    for (int64_t d = 0; layer.each == 4 && d < D; ++d) {  // both biases have the same gradient
      const Tensor& both = bars[4 + d * layer.each];
      if (both.numel() > 0)
        std::memcpy(data_of<T>(bars[5 + d * layer.each]), data_of<T>(both), H * sizeof(T));
    }
  });
  return bars;
}

}  // namespace

// Their schemas are in src/elman/ops/operators.py.
STABLE_TORCH_LIBRARY_IMPL(elman, CPU, m) {
  m.impl("scan", TORCH_BOX(&scan));
  m.impl("linear_scan", TORCH_BOX(&linear_scan));
  m.impl("layer", TORCH_BOX(&layer));
  m.impl("layer_backward", TORCH_BOX(&layer_backward));
}

}  // namespace elman
