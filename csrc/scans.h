// scan, linear_scan and gated_scan as functions of PyTorch's tensors.
#pragma once

#include <tuple>

#include "tensors.h"

namespace elman {
namespace {

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
      scans[g].f = {nonlinearity(f), 0};
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

// h, and y where the gates carry something; else that is h, and an empty tensor stands for it.
std::tuple<Tensor, Tensor> gated_scan(Tensor a, Tensor weight, Tensor h_0, std::optional<Tensor> g,
                                      std::optional<Tensor> q, std::optional<Tensor> e, int64_t f,
                                      double bound, std::optional<Tensor> batch_sizes,
                                      bool reverse) {
  const Given given("a", a, "weight_hh", weight, "h_0", h_0, batch_sizes);
  const Steps& steps = given.steps;
  const ScalarType dtype = a.scalar_type();
  const auto factor = [&](const char* name, std::optional<Tensor>& t) {
    if (!t.has_value()) return;
    check_tensor(name, *t, dtype, given.shape());
    if (t->stride(t->dim() - 1) != 0) t = even(t);
  };
  factor("g", g);
  factor("q", q);
  factor("e", e);
  a = even(a);
  h_0 = even(h_0);
  const Tensor out = empty(given.shape(), dtype);
  const bool carry = g.has_value() || e.has_value();
  const Tensor y = carry ? empty(given.shape(), dtype) : empty(Sizes{0}, dtype);
  if (out.numel() == 0) return {out, y};
  with_type(a, [&](auto zero) {
    using T = decltype(zero);
    const Groups groups(weight, h_0, a, out);
    const auto of_group = [&](const std::optional<Tensor>& t, int64_t k) -> Factor<T> {
      if (!t.has_value()) return {};
      const int64_t last = t->dim() - 1, shift = weight.dim() == 3 ? k * t->stride(last - 1) : 0;
      const Sequence<const T> s = sequence<const T>(*t, steps, shift);
      const bool single = t->size(last) > 1 && t->stride(last) == 0;
      return {s.data, nullptr, s.step, s.row, s.starts, single};
    };
    std::vector<Scan<T>> scans(groups.G);
    for (int64_t k = 0; k < groups.G; ++k) {
      set_recurrence<T>(scans[k], groups, k, reverse, weight, true, h_0, out, steps);
      scans[k].f = {nonlinearity(f), bound};
      scans[k].a = sequence<const T>(a, steps, k * groups.of_sequence);
      scans[k].gates = {of_group(g, k), of_group(q, k), of_group(e, k), {}};
      if (carry) scans[k].y = sequence<T>(y, steps, k * groups.of_out);
    }
    check(kernels_for<T>(kernels()).scan(scans.data(), groups.G, steps.time(), parallel()));
  });
  return {out, y};
}

}  // namespace
}  // namespace elman
