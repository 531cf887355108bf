// The three kernels' problems, each with its plain loop: row by row, number by number, in double.
#pragma once

#include "drawn.h"

namespace elman {
namespace {

// M has numbers within 1/4H, and no slope is above 1.76: with the gates, of which g is from 1/2 to
// 1 and e within 1/4, a step hands on at most 7/8 of an error, so all the steps before make it at
// most eight times that of one step.
template <class T>
struct ScanCase final : Case<T> {
  using Base = Case<T>;
  using Base::H, Base::K, Base::count, Base::steps, Base::f, Base::reverse, Base::batch, Base::grid,
      Base::maybe, Base::walk, Base::draw, Base::draw_each, Base::results_each, Base::expect,
      Base::set_tolerance, Base::place_in, Base::sequence_in, Base::draw_gates;
  std::vector<Numbers<T>> weight, x_weight, bias, initial, a;
  Numbers<T> x;
  std::vector<Output<T>> out, last, inner;
  GatesOf<T> gates;
  bool in_place;

  explicit ScanCase(Random& random) : Base((problem += " scan", random)) {
    const Steps rows = batch();
    const bool with_x = maybe("x"), with_bias = maybe("bias");
    const bool with_a = maybe("a"), with_initial = maybe("initial", 80);
    in_place = with_a && maybe("in_place", 30);
    for (int64_t d = 0; d < count; ++d) {
      weight.push_back(draw(grid(H, H), 1, 0.25 / static_cast<double>(H)));
      x_weight.push_back(draw(grid(K, H), 1, 1.0 / static_cast<double>(K)));
    }
    bias = draw_each(grid(1, 1), H, 1, with_bias);
    initial = draw_each(rows, H, 1, with_initial);
    if (with_x) x = draw(steps, K, 1);
    a = draw_each(steps, H, 1, with_a && !in_place);
    out = results_each("out", steps, H, in_place ? 1 : 0);
    if (in_place) a.assign(out.begin(), out.end());
    last = results_each("last", rows, H, 0, maybe("last"));
    gates = draw_gates();
    inner = results_each("y", steps, H, 0, gates.carry() && maybe("y"));
    double size = 0;
    for (int64_t d = 0; d < count; ++d)
      for (int64_t r = 0; r < steps.N; ++r) size = std::max(size, run_row(d, r));
    // sums of H + K + 2 terms, and a few roundings within f and between the gates
    const double tolerance = 8 * walk(static_cast<double>(H + K + 20), size);
    for (const auto* of : {&out, &last, &inner}) set_tolerance(*of, tolerance);
  }

  // One row of one recurrence; the size of its largest sum.
  double run_row(int64_t d, int64_t r) {
    std::vector<double> h(H), before;
    for (int64_t j = 0; j < H; ++j) h[j] = initial[d].here() ? initial[d](0, r, j) : 0;
    double size = 0;
    for (int64_t s = 0, length = steps.length(r); s < length; ++s) {
      const int64_t t = reverse[d] ? length - 1 - s : s;
      before = h;
      for (int64_t j = 0; j < H; ++j) {
        Sum z;
        if (a[d].here()) z.add(a[d](t, r, j));
        if (bias[d].here()) z.add(bias[d](0, 0, j));
        for (int64_t k = 0; x.here() && k < K; ++k) z.add(x(t, r, k) * x_weight[d](k, j));
        for (int64_t k = 0; k < H; ++k)
          z.add(gates.inside(d, t, r, k) * before[k] * weight[d](k, j));
        const double y = value(f, z.value);
        h[j] = gates.g(d, t, r, j) * y + gates.kept(d, t, r, j) * before[j];
        if (inner[d].here()) expect(inner[d], t, r, j) = y;
        expect(out[d], t, r, j) = h[j];
        size = std::max({size, z.size, std::abs(y) + std::abs(before[j])});
      }
    }
    for (int64_t j = 0; last[d].here() && j < H; ++j) expect(last[d], 0, r, j) = h[j];
    return size;
  }

  Status call(const KernelsOf<T>& kernels, const Memory<T>& to, Parallel parallel) const override {
    std::vector<Scan<T>> scans(count);
    for (int64_t d = 0; d < count; ++d) {
      Scan<T>& scan = scans[d];
      scan.H = H;
      scan.reverse = reverse[d];
      scan.weight = weight[d].matrix();
      scan.initial = initial[d].lines();
      scan.out = sequence_in(to, out[d]);
      scan.f = f;
      scan.a = a[d].sequence();
      if (in_place) scan.a.data = scan.out.data;
      scan.bias = bias[d].data();
      scan.x = x.sequence();
      scan.K = x.here() ? K : 0;
      scan.x_weight = x_weight[d].matrix();
      scan.last = {place_in(to, last[d]), last[d].place.row};
      scan.gates = gates.of(d);
      scan.y = sequence_in(to, inner[d]);
    }
    return kernels.scan(scans.data(), count, steps.time(), parallel);
  }
};

// M within 1/2H, p and q within 1, e within 1/4: a step hands on three quarters of an error, so
// all the steps before make it at most four times that of one step.
template <class T>
struct LinearCase final : Case<T> {
  using Base = Case<T>;
  using Base::H, Base::K, Base::count, Base::steps, Base::f, Base::reverse, Base::batch, Base::grid,
      Base::maybe, Base::walk, Base::draw, Base::draw_each, Base::results_each, Base::expect,
      Base::set_tolerance, Base::place_in, Base::sequence_in;
  std::vector<Numbers<T>> weight, initial, x, p, q, e;
  std::vector<Output<T>> out;

  explicit LinearCase(Random& random) : Base((problem += " linear_scan", random)) {
    for (int64_t d = 0; d < count; ++d)
      weight.push_back(draw(grid(H, H), 1, 0.5 / static_cast<double>(H)));
    initial = draw_each(batch(), H, 1, maybe("initial", 80));
    x = draw_each(steps, H, 1);
    p = draw_each(steps, H, 1, maybe("p"));
    q = draw_each(steps, H, 1, maybe("q", 40));
    e = draw_each(steps, H, 0.25, maybe("e"));
    out = results_each("out", steps, H, 0);
    double size = 0;
    for (int64_t d = 0; d < count; ++d)
      for (int64_t r = 0; r < steps.N; ++r) size = std::max(size, run_row(d, r));
    // sums of H terms, and one rounding each for q, p, e, x and what e brings
    set_tolerance(out, 4 * walk(static_cast<double>(H + 5), size));
  }

  double run_row(int64_t d, int64_t r) {
    std::vector<double> s(H), before;
    for (int64_t j = 0; j < H; ++j) s[j] = initial[d].here() ? initial[d](0, r, j) : 0;
    double size = 0;
    for (int64_t step = 0, length = steps.length(r); step < length; ++step) {
      const int64_t t = reverse[d] ? length - 1 - step : step;
      before = s;
      for (int64_t j = 0; j < H; ++j) {
        Sum sum;
        sum.add(x[d](t, r, j));
        if (e[d].here()) sum.add(e[d](t, r, j) * before[j]);
        const double outside = p[d].here() ? p[d](t, r, j) : 1;
        for (int64_t k = 0; k < H; ++k)
          sum.add(outside * (q[d].here() ? q[d](t, r, k) : 1) * before[k] * weight[d](k, j));
        expect(out[d], t, r, j) = s[j] = sum.value;
        size = std::max(size, sum.size);
      }
    }
    return size;
  }

  Status call(const KernelsOf<T>& kernels, const Memory<T>& to, Parallel parallel) const override {
    std::vector<LinearScan<T>> scans(count);
    for (int64_t d = 0; d < count; ++d) {
      LinearScan<T>& scan = scans[d];
      scan.H = H;
      scan.reverse = reverse[d];
      scan.weight = weight[d].matrix();
      scan.initial = initial[d].lines();
      scan.out = sequence_in(to, out[d]);
      scan.x = x[d].sequence();
      scan.p = p[d].sequence();
      scan.q = q[d].sequence();
      scan.e = e[d].sequence();
    }
    return kernels.linear_scan(scans.data(), count, steps.time(), parallel);
  }
};

// W within 1/4H, Wx so that neither its rows nor its columns add up to more than 1. z is any, told
// from y = f(z), which is h where the gates carry nothing, or maybe even so; otherwise h is any.
template <class T>
struct GradientsCase final : Case<T> {
  using Base = Case<T>;
  using Base::H, Base::K, Base::count, Base::steps, Base::f, Base::reverse, Base::batch, Base::grid,
      Base::maybe, Base::walk, Base::draw, Base::draw_each, Base::results_each, Base::expect,
      Base::set_tolerance, Base::result, Base::sums_each, Base::place_in, Base::sequence_in,
      Base::draw_gates;

  std::vector<Numbers<T>> weight, x_weight, h, h_bar, last_bar, h_0;
  Numbers<T> x;
  std::vector<Output<T>> x_bar, h_0_bar, weight_bar, x_weight_bar, bias_bar, g_bar, lambda;
  std::vector<Numbers<T>> y;
  GatesOf<T> gates;
  bool apart;  // whether y is something else than h
  std::map<const T*, double> slopes;  // at every number of y
  double rows = 0, size_of_delta = 0, size_of_sum = 0;

  explicit GradientsCase(Random& random) : Base((problem += " gradients", random)) {
    for (int64_t d = 0; d < count; ++d) {
      weight.push_back(draw(grid(H, H), 1, 0.25 / static_cast<double>(H)));
      x_weight.push_back(draw(grid(H, K), 1, 1 / static_cast<double>(std::max(H, K))));
    }
    gates = draw_gates();
    h = draw_each(steps, H, 1);
    apart = gates.carry() && maybe("y", 70);
    y = apart ? draw_each(steps, H, 2) : h;
    for (Numbers<T>& one : y) {  // all are z; the memory of several may be one
      if (&one != &y[0] && one.memory == y[0].memory) continue;
      for (int64_t i = 0; i < one.place.size; ++i) {
        const double z = off_corners(f, one.memory[i]);
        slopes[one.memory.get() + i] = slope(f, z);
        one.memory[i] = static_cast<T>(value(f, z));
      }
    }
    h_0 = draw_each(batch(), H, 1);
    x = draw(steps, K, 1);
    h_bar = draw_each(steps, H, 1, maybe("h_bar", 80));
    last_bar = draw_each(batch(), H, 1, maybe("last_bar"));
    if (maybe("x_bar")) {  // one for all
      const Place place = draw_place(random, steps, K, false);
      x_bar.assign(count, Base::result("x_bar", steps, K, place, 1));
      Base::results.back().begin_sum(false);
    }
    h_0_bar = results_each("h_0_bar", batch(), H, 0, maybe("h_0_bar"));
    const bool weights = maybe("weights", 80);
    weight_bar = sums_each("weight_bar", H, H, weights);
    x_weight_bar = sums_each("x_weight_bar", H, K, weights);
    bias_bar = sums_each("bias_bar", 1, H, weights && maybe("bias_bar"));
    // the gradient of a g of each unit, where e is 1 - g; or λ; not both
    const bool units = gates.units() && maybe("g_bar");
    g_bar = sums_each("g_bar", 1, H, units);
    lambda = results_each("lambda", steps, H, 0, !units && maybe("lambda", 30));
    for (int64_t d = 0; d < count; ++d)
      for (int64_t r = 0; r < steps.N; ++r) run_row(d, r);
    set_tolerances();
  }

  // A δ has H + 24 roundings at most, eight times as many by the steps before it; a sum over rows
  // has those of all its rows' δ, and one for each that is added.
  void set_tolerances() {
    const double each = 8 * static_cast<double>(H + 24), most = static_cast<double>(H * count + 1);
    const double delta = walk(each, size_of_delta);
    set_tolerance(h_0_bar, delta + walk(most, size_of_sum));
    set_tolerance(x_bar, static_cast<double>(count) * delta + walk(most, size_of_sum));
    const double sum = walk(rows * each, size_of_delta) + walk(rows + 1, size_of_sum);
    for (const auto* of : {&weight_bar, &x_weight_bar, &bias_bar, &g_bar}) set_tolerance(*of, sum);
    set_tolerance(lambda, delta);
  }

  // One row of one recurrence, from its last step to its first.
  void run_row(int64_t d, int64_t r) {
    std::vector<double> next(H), delta(H), all(H);  // what the step after hands back, δ and λ
    for (int64_t j = 0; j < H; ++j) next[j] = last_bar[d].here() ? last_bar[d](0, r, j) : 0;
    const int64_t length = steps.length(r);
    rows += d == 0 ? static_cast<double>(length) : 0;
    for (int64_t s = length - 1; s >= 0; --s) {  // in the order of the scan
      const int64_t t = reverse[d] ? length - 1 - s : s;
      for (int64_t j = 0; j < H; ++j) {
        all[j] = next[j] + (h_bar[d].here() ? h_bar[d](t, r, j) : 0);
        delta[j] = slopes.at(y[d].memory.get() + y[d].at(t, r, j)) * gates.g(d, t, r, j) * all[j];
        if (lambda[d].here()) expect(lambda[d], t, r, j) = all[j];
      }
      add_products(d, r, t, s == 0 ? -1 : reverse[d] ? t + 1 : t - 1, delta, all);
      for (int64_t k = 0; k < H; ++k) {
        Sum sum;
        for (int64_t j = 0; j < H; ++j)
          sum.add(gates.inside(d, t, r, k) * delta[j] * weight[d](j, k));
        sum.add(gates.kept(d, t, r, k) * all[k]);
        next[k] = sum.value;
        size_of_delta = std::max(size_of_delta, sum.size + 2);  // and h̄ and the last h's gradient
      }
    }
    for (int64_t j = 0; h_0_bar[d].here() && j < H; ++j) expect(h_0_bar[d], 0, r, j) = next[j];
  }

  // What δ of step t adds to the results; -1 for the step before is h_0.
  void add_products(int64_t d, int64_t r, int64_t t, int64_t before,
                    const std::vector<double>& delta, const std::vector<double>& all) {
    const auto state = [&](int64_t k) { return before < 0 ? h_0[d](0, r, k) : h[d](before, r, k); };
    const auto add = [&](const Output<T>& to, int64_t i, int64_t j, int64_t k, double term) {
      expect(to, i, j, k) += term;
      double& size = Base::results[to.result].sizes[to.at(i, j, k)];
      size_of_sum = std::max(size_of_sum, size += std::abs(term));
    };
    for (int64_t j = 0; j < H; ++j) {
      for (int64_t k = 0; k < K; ++k) {
        if (!x_bar.empty()) add(x_bar[d], t, r, k, delta[j] * x_weight[d](j, k));
        if (x_weight_bar[d].here()) add(x_weight_bar[d], 0, j, k, delta[j] * x(t, r, k));
      }
      for (int64_t k = 0; weight_bar[d].here() && k < H; ++k)
        add(weight_bar[d], 0, j, k, delta[j] * gates.inside(d, t, r, k) * state(k));
      if (bias_bar[d].here()) add(bias_bar[d], 0, 0, j, delta[j]);
      if (g_bar[d].here())
        add(g_bar[d], 0, 0, j, all[j] * (y[d](t, r, j) - gates.left(d, t, r, j) * state(j)));
    }
  }

  Status call(const KernelsOf<T>& kernels, const Memory<T>& to, Parallel parallel) const override {
    std::vector<Gradients<T>> asked(count);
    for (int64_t d = 0; d < count; ++d) {
      Gradients<T>& one = asked[d];
      one.H = H;
      one.reverse = !reverse[d];
      one.weight = weight[d].matrix();
      one.f = f;
      one.h = h[d].sequence();
      one.h_bar = h_bar[d].sequence();
      one.last_bar = last_bar[d].lines();
      one.h_0 = h_0[d].lines();
      one.x = x.sequence();
      one.K = K;
      one.x_weight = x_weight[d].matrix();
      if (!x_bar.empty()) one.x_bar = sequence_in(to, x_bar[d]);
      one.h_0_bar = {place_in(to, h_0_bar[d]), h_0_bar[d].place.row};
      one.weight_bar = place_in(to, weight_bar[d]);
      one.x_weight_bar = place_in(to, x_weight_bar[d]);
      one.bias_bar = place_in(to, bias_bar[d]);
      one.gates = gates.of(d);
      if (apart) one.y = y[d].sequence();
      one.g_bar = place_in(to, g_bar[d]);
      one.lambda = sequence_in(to, lambda[d]);
    }
    return kernels.gradients(asked.data(), count, steps.time(), parallel);
  }
};

}  // namespace
}  // namespace elman
