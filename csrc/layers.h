// A layer whole, and its gradients, as functions of PyTorch's tensors.
#pragma once

#include <tuple>

#include "gating.h"

namespace elman {
namespace {

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

// The states, the last ones, and what is there to be kept: y, where it is not the states, and under
// a norm the even rows and what each was multiplied by.
struct Ran {
  Tensor output, h_n;
  std::optional<Tensor> y, normed, scales;
};

Ran run_layer(const Layer& layer, int64_t f, const Gating& gating, const Norming& norming,
              bool keep) {
  const auto [D, N, H] = std::tuple(layer.D, layer.N, layer.H);
  const auto states = [&](int64_t numbers) {
    return empty(layer.steps.shape({numbers}), layer.dtype);
  };
  Ran ran{states(D * H), empty({D, N, H}, layer.dtype), {}, {}, {}};
  if (keep && gating.keeps_y()) ran.y = states(D * H);
  if (keep && norming.here()) {
    ran.normed = states(D * H);
    ran.scales = states(D);
  }
  if (ran.h_n.numel() == 0) return ran;
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
      scan.out = sequence<T>(ran.output, layer.steps, d * H);
      scan.f = {nonlinearity(f), gating.bound};
      scan.bias = biases.empty() ? nullptr : biases.data() + d * H;
      scan.x = sequence<const T>(layer.x, layer.steps);
      scan.K = layer.K;
      scan.x_weight = {data_of<const T>(Wx), Wx.stride(1), Wx.stride(0)};
      scan.last = {data_of<T>(ran.h_n) + d * N * H, H};
      scan.gates = gating.of<T>(d, layer.steps);
      scan.y = sequence<T>(ran.y, layer.steps, d * H);
      scan.norm = norming.of<T>(d);
      scan.normed = sequence<T>(ran.normed, layer.steps, d * H);
      scan.scales = sequence<T>(ran.scales, layer.steps, d);
    }
    check(kernels_for<T>(kernels()).scan(scans.data(), D, layer.steps.time(), parallel()));
  });
  return ran;
}

// What reaches a layer's outputs, and what it gave then.
struct Reached {
  std::optional<Tensor> output_bar, h_n_bar;
  Tensor output;
  std::optional<Tensor> y, normed, scales;
};

// The gradients of a layer, as far as they are wanted: g for each unit, γ and β (D, H) each.
struct Bars {
  std::optional<Tensor> x, h_0, lambda, g, norm_weight, norm_bias;
  std::vector<Tensor> weights;

  void zero_all() {
    for (std::optional<Tensor>* bar : {&x, &h_0, &lambda, &g, &norm_weight, &norm_bias})
      if (bar->has_value()) zero(**bar);
    for (Tensor& bar : weights) zero(bar);
  }
};

// Of what is wanted, 1 for x, 2 for h_0, 4 for the weights, 8 for λ, the gradient of the states, 16
// for g and 32 for the norm.
Bars run_backward(const Layer& layer, int64_t f, const Gating& gating, const Norming& norming,
                  const Reached& reached, int64_t wanted) {
  STD_TORCH_CHECK((wanted & 24) != 24, "elman: λ or its sums are to be had, not both");
  const auto [D, N, H] = std::tuple(layer.D, layer.N, layer.H);
  const Sizes states = layer.steps.shape({D * H});
  const auto given = [&](const char* name, const std::optional<Tensor>& t, const Sizes& sizes) {
    if (t.has_value()) check_tensor(name, *t, layer.dtype, sizes);
    return even(t);
  };
  check_tensor("output", reached.output, layer.dtype, states);
  const Tensor output = even(reached.output);
  const auto output_bar = given("the gradient of output", reached.output_bar, states);
  const auto h_n_bar = given("the gradient of h_n", reached.h_n_bar, {D, N, H});
  std::optional<Tensor> y, normed, scales;
  if (gating.keeps_y()) y = given("y", reached.y, states);
  if (norming.here()) {
    normed = given("the even rows", reached.normed, states);
    scales = given("their scales", reached.scales, layer.steps.shape({D}));
  }
  Bars bars;
  const auto made = [&](int64_t which, const Sizes& sizes) {
    return (wanted & which) != 0 ? std::optional<Tensor>(empty(sizes, layer.dtype)) : std::nullopt;
  };
  if ((wanted & 1) != 0) {
    bars.x = layer.like_x(layer.K);
    zero(*bars.x);  // both directions add to it
  }
  bars.h_0 = made(2, {D, N, H});
  for (int64_t k = 0; (wanted & 4) != 0 && k < D * layer.each; ++k) {
    const int64_t which = k % layer.each;
    bars.weights.push_back(empty(which == 0   ? Sizes{H, layer.K}
                                 : which == 1 ? Sizes{H, H}
                                              : Sizes{H},
                                 layer.dtype));
  }
  bars.lambda = made(8, states);
  bars.g = made(16, {D, H});
  if (norming.here()) {
    bars.norm_weight = made(32, {D, H});
    bars.norm_bias = made(32, {D, H});
  }
  if (N == 0 || H == 0) {
    bars.zero_all();
    return bars;
  }
  with_type(layer.x, [&](auto zero) {
    using T = decltype(zero);
    const auto place = [](const std::optional<Tensor>& t, int64_t shift) {
      return t.has_value() ? data_of<T>(*t) + shift : nullptr;
    };
    const auto of_weight = [&](int64_t d, int64_t k) -> T* {
      if (bars.weights.empty()) return nullptr;
      const Tensor& bar = bars.weights[d * layer.each + k];
      return bar.numel() == 0 ? nullptr : data_of<T>(bar);
    };
    std::vector<Gradients<T>> asked(D);
    for (int64_t d = 0; d < D; ++d) {
      Gradients<T>& to = asked[d];
      const Tensor &W = layer.weight_hh(d), &Wx = layer.weight_ih(d);
      to.H = H;
      to.reverse = d == 0;
      to.weight = {data_of<const T>(W), W.stride(0), W.stride(1)};
      to.f = {nonlinearity(f), gating.bound};
      to.h = sequence<const T>(output, layer.steps, d * H);
      to.h_bar = sequence<const T>(output_bar, layer.steps, d * H);
      if (h_n_bar.has_value() && h_n_bar->numel() > 0)
        to.last_bar = {data_of<const T>(*h_n_bar) + d * h_n_bar->stride(0), h_n_bar->stride(1)};
      to.h_0 = layer.initial<T>(d);
      to.x = sequence<const T>(layer.x, layer.steps);
      to.K = layer.K;
      to.x_weight = {data_of<const T>(Wx), Wx.stride(0), Wx.stride(1)};
      to.x_bar = sequence<T>(bars.x, layer.steps);
      to.h_0_bar = {place(bars.h_0, d * N * H), H};
      to.x_weight_bar = of_weight(d, 0);
      to.weight_bar = of_weight(d, 1);
      if (layer.each == 4) to.bias_bar = of_weight(d, 2);
      to.gates = gating.of<T>(d, layer.steps);
      to.y = sequence<const T>(y, layer.steps, d * H);
      to.g_bar = place(bars.g, d * H);
      to.norm = norming.of<T>(d);
      to.normed = sequence<const T>(normed, layer.steps, d * H);
      to.scales = sequence<const T>(scales, layer.steps, d);
      to.norm_weight_bar = place(bars.norm_weight, d * H);
      to.norm_bias_bar = place(bars.norm_bias, d * H);
      to.lambda = sequence<T>(bars.lambda, layer.steps, d * H);
    }
    check(kernels_for<T>(kernels()).gradients(asked.data(), D, layer.steps.time(), parallel()));
    for (int64_t d = 0; layer.each == 4 && d < D; ++d)  // both biases have the same gradient
      if (const T* const both = of_weight(d, 2)) std::memcpy(of_weight(d, 3), both, H * sizeof(T));
  });
  return bars;
}

// As the operators return them: x̄, h̄_0, every weight's, and what else an operator has; an empty
// tensor for what is not there.
std::vector<Tensor> in_a_row(const Layer& layer, const Bars& bars,
                             std::initializer_list<const std::optional<Tensor>*> others) {
  std::vector<Tensor> row;
  row.reserve(2 + layer.weights.size() + others.size());
  row.push_back(or_empty(bars.x, layer.dtype));
  row.push_back(or_empty(bars.h_0, layer.dtype));
  for (size_t k = 0; k < layer.weights.size(); ++k)
    row.push_back(bars.weights.empty() ? empty(Sizes{0}, layer.dtype) : bars.weights[k]);
  for (const std::optional<Tensor>* bar : others) row.push_back(or_empty(*bar, layer.dtype));
  return row;
}

// --- as they are registered --------------------------------------------------------------------

std::tuple<Tensor, Tensor> layer(Tensor x, Tensor h_0, std::vector<Tensor> weights, bool bias,
                                 int64_t f, std::optional<Tensor> batch_sizes) {
  const Layer layer(x, h_0, weights, bias, batch_sizes);
  const Ran ran = run_layer(layer, f, {{}, 0}, {{}, 0}, false);
  return {ran.output, ran.h_n};
}

std::vector<Tensor> layer_backward(std::optional<Tensor> output_bar, std::optional<Tensor> h_n_bar,
                                   Tensor x, Tensor h_0, Tensor output, std::vector<Tensor> weights,
                                   bool bias, int64_t f, std::optional<Tensor> batch_sizes,
                                   int64_t wanted) {
  const Layer layer(x, h_0, weights, bias, batch_sizes);
  const Reached reached{output_bar, h_n_bar, output, {}, {}, {}};
  return in_a_row(layer, run_backward(layer, f, {{}, 0}, {{}, 0}, reached, wanted & 7), {});
}

std::tuple<Tensor, Tensor, Tensor> gated_layer(Tensor x, Tensor h_0, std::vector<Tensor> weights,
                                               bool bias, int64_t f, double bound,
                                               std::vector<Tensor> factors, bool keep,
                                               std::optional<Tensor> batch_sizes) {
  const Layer layer(x, h_0, weights, bias, batch_sizes);
  Gating gating{std::move(factors), bound};
  gating.check(layer.D, layer.N, layer.H, layer.dtype, layer.steps);
  const Ran ran = run_layer(layer, f, gating, {{}, 0}, keep);
  return {ran.output, ran.h_n, or_empty(ran.y, layer.dtype)};
}

std::vector<Tensor> gated_layer_backward(std::optional<Tensor> output_bar,
                                         std::optional<Tensor> h_n_bar, Tensor x, Tensor h_0,
                                         Tensor output, Tensor y, std::vector<Tensor> weights,
                                         bool bias, int64_t f, double bound,
                                         std::vector<Tensor> factors,
                                         std::optional<Tensor> batch_sizes, int64_t wanted) {
  const Layer layer(x, h_0, weights, bias, batch_sizes);
  Gating gating{std::move(factors), bound};
  gating.check(layer.D, layer.N, layer.H, layer.dtype, layer.steps);
  const Reached reached{output_bar, h_n_bar, output, y, {}, {}};
  const Bars bars = run_backward(layer, f, gating, {{}, 0}, reached, wanted & 31);
  return in_a_row(layer, bars, {&bars.lambda, &bars.g});
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> normed_layer(
    Tensor x, Tensor h_0, std::vector<Tensor> weights, bool bias, int64_t f, double bound,
    std::vector<Tensor> factors, std::vector<Tensor> norms, double eps, bool keep,
    std::optional<Tensor> batch_sizes) {
  const Layer layer(x, h_0, weights, bias, batch_sizes);
  Gating gating{std::move(factors), bound};
  Norming norming{std::move(norms), eps};
  gating.check(layer.D, layer.N, layer.H, layer.dtype, layer.steps);
  norming.check(layer.D, layer.H, layer.dtype);
  const Ran ran = run_layer(layer, f, gating, norming, keep);
  const ScalarType dtype = layer.dtype;
  return {ran.output, ran.h_n, or_empty(ran.y, dtype), or_empty(ran.normed, dtype),
          or_empty(ran.scales, dtype)};
}

std::vector<Tensor> normed_layer_backward(std::optional<Tensor> output_bar,
                                          std::optional<Tensor> h_n_bar, Tensor x, Tensor h_0,
                                          Tensor output, Tensor y, Tensor normed, Tensor scales,
                                          std::vector<Tensor> weights, bool bias, int64_t f,
                                          double bound, std::vector<Tensor> factors,
                                          std::vector<Tensor> norms, double eps,
                                          std::optional<Tensor> batch_sizes, int64_t wanted) {
  const Layer layer(x, h_0, weights, bias, batch_sizes);
  Gating gating{std::move(factors), bound};
  Norming norming{std::move(norms), eps};
  gating.check(layer.D, layer.N, layer.H, layer.dtype, layer.steps);
  norming.check(layer.D, layer.H, layer.dtype);
  const Reached reached{output_bar, h_n_bar, output, y, normed, scales};
  const Bars bars = run_backward(layer, f, gating, norming, reached, wanted);
  return in_a_row(layer, bars, {&bars.lambda, &bars.g, &bars.norm_weight, &bars.norm_bias});
}

}  // namespace
}  // namespace elman
