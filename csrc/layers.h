// A layer whole, and its gradients, as functions of PyTorch's tensors.
#pragma once

#include <tuple>

#include "tensors.h"

namespace elman {
namespace {

// What gates one direction: g, q, e and r, each of which may be of bools, and of one step, one row
// or one column for all; where it is absent, a tensor of one dimension stands for it. Packed,
// (1, N, H) is the same at every step, and (rows, H) is not.
template <class T>
Factor<T> factor(const Tensor& t, const Steps& steps) {
  if (t.dim() == 1) return {};
  const int64_t last = t.dim() - 1;
  const bool still = t.size(0) == 1 && t.dim() == 3, packed = steps.packed() && t.dim() == 2;
  Factor<T> of{};
  if (t.scalar_type() == ScalarType::Bool)
    of.flags = data_of<const uint8_t>(t);
  else
    of.data = data_of<const T>(t);
  of.step = still ? 0 : t.stride(0);
  of.row = packed ? t.stride(0) : t.size(1) == 1 ? 0 : t.stride(1);
  of.starts = packed ? steps.starts() : nullptr;
  of.single = t.size(last) == 1 || t.stride(last) == 0;
  return of;
}

struct Gating {
  std::vector<Tensor> factors;  // g, q, e and r of every direction; or none at all
  double bound;

  void check(int64_t D, int64_t N, int64_t H, ScalarType dtype, const Steps& steps) {
    STD_TORCH_CHECK(factors.empty() || static_cast<int64_t>(factors.size()) == 4 * D,
                    "elman: there should be g, q, e and r of every direction");
    STD_TORCH_CHECK(!(bound < 0), "elman: the bound of z should not be below zero");
    for (Tensor& t : factors) {
      if (t.dim() == 1 && t.numel() == 0) continue;
      const auto fits = [&](int64_t k, int64_t size) {
        return t.size(k) == 1 || t.size(k) == size;
      };
      const bool each = steps.packed() && t.dim() == 2;
      STD_TORCH_CHECK(
          t.is_cpu() && (t.scalar_type() == dtype || t.scalar_type() == ScalarType::Bool),
          "elman: a factor should be on the CPU and of the input's dtype, or of bools");
      STD_TORCH_CHECK(
          each ? t.size(0) == steps.rows() && fits(1, H)
               : t.dim() == 3 && fits(1, N) && fits(2, H) &&
                     (t.size(0) == 1 || (!steps.packed() && t.size(0) == steps.time().L)),
          "elman: a factor should be (L, N, H), or one in the place of any of them");
      if (t.stride(t.dim() - 1) != 0) t = even(t);
    }
  }

  bool there(int64_t k) const { return !factors.empty() && factors[k].dim() > 1; }
  // Whether the gradients need y: where g is of bools and stands without e, h is y, or y counts for
  // nothing.
  bool keeps_y() const {
    for (size_t k = 0; k < factors.size(); k += 4) {
      const bool numbers = there(k) && factors[k].scalar_type() != ScalarType::Bool;
      if (numbers || there(k + 2)) return true;
    }
    return false;
  }
  template <class T>
  Gates<T> of(int64_t d, const Steps& steps) const {
    if (factors.empty()) return {};
    return {factor<T>(factors[4 * d], steps), factor<T>(factors[4 * d + 1], steps),
            factor<T>(factors[4 * d + 2], steps), factor<T>(factors[4 * d + 3], steps)};
  }
};

// What makes the rows of z even, in every direction; or nothing does.
struct Norming {
  std::vector<Tensor> tensors;  // γ and β of every direction
  double eps;

  bool here() const { return !tensors.empty(); }
  void check(int64_t D, int64_t H, ScalarType dtype) {
    STD_TORCH_CHECK(tensors.empty() || static_cast<int64_t>(tensors.size()) == 2 * D,
                    "elman: there should be a norm's weight and bias of every direction");
    STD_TORCH_CHECK(eps >= 0, "elman: a norm's eps should not be below zero");
    for (Tensor& t : tensors) {
      check_tensor("a norm's weight or bias", t, dtype, {H});
      t = even(t);
    }
  }
  template <class T>
  Norm<T> of(int64_t d) const {
    if (!here()) return {};
    return {data_of<const T>(tensors[2 * d]), data_of<const T>(tensors[2 * d + 1]), eps};
  }
};

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

// The states, the last ones, and what is asked for to be kept: y, where it is not the states, and
// under a norm the even rows and what each was multiplied by.
struct Ran {
  Tensor output, h_n, y, normed, scales;
};

Ran run_layer(const Layer& layer, int64_t f, const Gating& gating, const Norming& norming,
              bool keep) {
  const auto [D, N, H] = std::tuple(layer.D, layer.N, layer.H);
  const Tensor output = empty(layer.steps.shape({D * H}), layer.dtype);
  const Tensor h_n = empty({D, N, H}, layer.dtype);
  const auto kept = [&](bool asked, int64_t numbers) {
    return empty(keep && asked ? layer.steps.shape({numbers}) : Sizes{0}, layer.dtype);
  };
  const Tensor y = kept(gating.keeps_y(), D * H);
  const Tensor even_rows = kept(norming.here(), D * H), scales = kept(norming.here(), D);
  const Ran ran{output, h_n, y, even_rows, scales};
  if (h_n.numel() == 0) return ran;
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
      scan.f = {nonlinearity(f), gating.bound};
      scan.bias = biases.empty() ? nullptr : biases.data() + d * H;
      scan.x = sequence<const T>(layer.x, layer.steps);
      scan.K = layer.K;
      scan.x_weight = {data_of<const T>(Wx), Wx.stride(1), Wx.stride(0)};
      scan.last = {data_of<T>(h_n) + d * N * H, H};
      scan.gates = gating.of<T>(d, layer.steps);
      if (y.numel() > 0) scan.y = sequence<T>(y, layer.steps, d * H);
      scan.norm = norming.of<T>(d);
      if (scales.numel() > 0) {
        scan.normed = sequence<T>(even_rows, layer.steps, d * H);
        scan.scales = sequence<T>(scales, layer.steps, d);
      }
    }
    check(kernels_for<T>(kernels()).scan(scans.data(), D, layer.steps.time(), parallel()));
  });
  return ran;
}

// What reaches a layer's outputs, and what it gave then.
struct Reached {
  std::optional<Tensor> output_bar, h_n_bar;
  Tensor output, y, normed, scales;
};

// Of what is wanted, 1 for x, 2 for h_0, 4 for the weights, 8 for the states, 16 for a g of each
// unit and 32 for the norm: x̄, h̄_0, each weight's, λ, (D, H), and γ̄ and β̄, (D, H) each; an empty
// tensor for what is not.
std::vector<Tensor> run_backward(const Layer& layer, int64_t f, const Gating& gating,
                                 const Norming& norming, const Reached& reached, int64_t wanted) {
  STD_TORCH_CHECK((wanted & 24) != 24, "elman: λ or its sums are to be had, not both");
  auto [output_bar, h_n_bar, output, y, normed, scales] = reached;
  const auto [D, N, H] = std::tuple(layer.D, layer.N, layer.H);
  check_tensor("output", output, layer.dtype, layer.steps.shape({D * H}));
  if (output_bar.has_value())
    check_tensor("the gradient of output", *output_bar, layer.dtype, layer.steps.shape({D * H}));
  if (h_n_bar.has_value()) check_tensor("the gradient of h_n", *h_n_bar, layer.dtype, {D, N, H});
  if (gating.keeps_y()) check_tensor("y", y, layer.dtype, layer.steps.shape({D * H}));
  if (norming.here()) {
    check_tensor("the even rows", normed, layer.dtype, layer.steps.shape({D * H}));
    check_tensor("their scales", scales, layer.dtype, layer.steps.shape({D}));
  }
  output = even(output);
  y = even(y);
  normed = even(normed);
  scales = even(scales);
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
  bars.push_back(made((wanted & 8) != 0, layer.steps.shape({D * H})));
  const Tensor lambda = bars.back();
  bars.push_back(made((wanted & 16) != 0, {D, H}));
  const Tensor g_bar = bars.back();
  const bool wants_norm = norming.here() && (wanted & 32) != 0;
  const Tensor norm_weight_bar = made(wants_norm, {D, H}), norm_bias_bar = made(wants_norm, {D, H});
  bars.push_back(norm_weight_bar);
  bars.push_back(norm_bias_bar);
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
      to.f = {nonlinearity(f), gating.bound};
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
      to.gates = gating.of<T>(d, layer.steps);
      if (gating.keeps_y()) to.y = sequence<const T>(y, layer.steps, d * H);
      if (g_bar.numel() > 0) to.g_bar = data_of<T>(g_bar) + d * H;
      to.norm = norming.of<T>(d);
      if (norming.here()) {
        to.normed = sequence<const T>(normed, layer.steps, d * H);
        to.scales = sequence<const T>(scales, layer.steps, d);
      }
      if (wants_norm) {
        to.norm_weight_bar = data_of<T>(norm_weight_bar) + d * H;
        to.norm_bias_bar = data_of<T>(norm_bias_bar) + d * H;
      }
      if (lambda.numel() > 0) to.lambda = sequence<T>(lambda, layer.steps, d * H);
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
  const Reached reached{output_bar, h_n_bar, output, output, output, output};
  std::vector<Tensor> bars = run_backward(layer, f, {{}, 0}, {{}, 0}, reached, wanted & 7);
  bars.resize(bars.size() - 4);
  return bars;
}

std::tuple<Tensor, Tensor, Tensor> gated_layer(Tensor x, Tensor h_0, std::vector<Tensor> weights,
                                               bool bias, int64_t f, double bound,
                                               std::vector<Tensor> factors, bool keep,
                                               std::optional<Tensor> batch_sizes) {
  const Layer layer(x, h_0, weights, bias, batch_sizes);
  Gating gating{std::move(factors), bound};
  gating.check(layer.D, layer.N, layer.H, layer.dtype, layer.steps);
  const Ran ran = run_layer(layer, f, gating, {{}, 0}, keep);
  return {ran.output, ran.h_n, ran.y};
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
  const Reached reached{output_bar, h_n_bar, output, y, output, output};
  std::vector<Tensor> bars = run_backward(layer, f, gating, {{}, 0}, reached, wanted & 31);
  bars.resize(bars.size() - 2);
  return bars;
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
  return {ran.output, ran.h_n, ran.y, ran.normed, ran.scales};
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
  return run_backward(layer, f, gating, norming, reached, wanted);
}

}  // namespace
}  // namespace elman
