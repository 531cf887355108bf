// What becomes of a tile's sums: the next states, or the next δ.
#pragma once

#include <cmath>

#include "activations.h"
#include "rows.h"

namespace elman {
namespace {

// --- a row made even -----------------------------------------------------------------------

// ẑ = (z - mean) / √(variance + eps) of a row's z = to + bias, and γ ẑ + β in its place.
template <class T>
void normalise_row(const Norm<T>& norm, const T* bias, int64_t H, T* to, T* normed, T* scale) {
  Vec<T> sum{}, squares{};
  vectors<T>(0, H, [&](int64_t j, int64_t n) ELMAN_INLINE {
    Vec<T> z = load(to + j, n);
    if (bias != nullptr) z += load(bias + j, n);
    store(to + j, z, n);
    sum += z;  // what lies beyond the end of a row is loaded as zero
  });
  const T size = static_cast<T>(H), mean = sum_of<T>(sum) / size;
  vectors<T>(0, H, [&](int64_t j, int64_t n) ELMAN_INLINE {
    const Vec<T> off = load(to + j, n) - mean;
    store(to + j, off, n);
    const Vec<T> there = load(to + j, n);
    squares += there * there;
  });
  const T by = T(1) / std::sqrt(sum_of<T>(squares) / size + static_cast<T>(norm.eps));
  if (scale != nullptr) *scale = by;
  vectors<T>(0, H, [&](int64_t j, int64_t n) ELMAN_INLINE {
    const Vec<T> even = load(to + j, n) * by;
    if (normed != nullptr) store(normed + j, even, n);
    store(to + j, even * load(norm.weight + j, n) + load(norm.bias + j, n), n);
  });
}

// δ = scale (v - mean(v) - ẑ mean(v ẑ)) with v = γ ⊙ within, the gradient of γ ẑ + β.
template <class T>
void normalise_back(const Norm<T>& norm, int64_t H, const T* within, const T* normed, T scale,
                    T* to) {
  Vec<T> sum{}, along{};
  vectors<T>(0, H, [&](int64_t j, int64_t n) ELMAN_INLINE {
    const Vec<T> v = load(within + j, n) * load(norm.weight + j, n);
    sum += v;
    along += v * load(normed + j, n);
  });
  const T mean = sum_of<T>(sum) / static_cast<T>(H),
          mean_along = sum_of<T>(along) / static_cast<T>(H);
  vectors<T>(0, H, [&](int64_t j, int64_t n) ELMAN_INLINE {
    const Vec<T> v = load(within + j, n) * load(norm.weight + j, n);
    store(to + j, (v - mean - load(normed + j, n) * mean_along) * scale, n);
  });
}

// --- what becomes of the sums of a tile ------------------------------------------------------

template <class T, class F>
struct Activate {
  explicit Activate(const Scan<T>& of) : scan(of), f(of.f) {}
  static constexpr bool kByRow = false;  // or, when all its sums are there, completes each row
  static constexpr bool kReadsMuch = false;  // besides what its sums are made of
  const Scan<T>& scan;
  const F f;

  void expect(const Rows& rows, const Part& part) const {
    if (scan.a.data != nullptr && scan.a.data != scan.out.data) fetch<0>(scan.a, rows, part);
    fetch<1>(scan.out, rows, part);
  }

  void operator()(const Product<T>& tile) const {
    const T* const a = row_of(step_of(scan.a, tile.t), tile.row, scan.a.row);
    T* const out = row_of(step_of(scan.out, tile.t), tile.row, scan.out.row);
    each_vector(tile, scan.H, [&](int64_t j, int64_t n) ELMAN_INLINE {
      const Vec<T> bias = scan.bias == nullptr ? Vec<T>{} : load(scan.bias + j, n);
      return [=, this, skip = tile.skip](Vec<T> z, int64_t i) ELMAN_INLINE {
        if (a != nullptr) z += load(a + i * skip * scan.a.row + j, n);
        store(out + i * skip * scan.out.row + j, f.template value<T>(z + bias), n);
      };
    });
  }
};

// The same where g stands alone, as a leak does: what of the old state stays is still at hand,
// since the product was made of it.
template <class T, class F>
struct Blend : Activate<T, F> {
  using Activate<T, F>::Activate, Activate<T, F>::scan, Activate<T, F>::f;

  void expect(const Rows& rows, const Part& part) const {
    Activate<T, F>::expect(rows, part);
    fetch<1>(scan.y, rows, part);
    expect_gate(scan.gates, rows, part);
  }

  void operator()(const Product<T>& tile) const {
    const T* const a = row_of(step_of(scan.a, tile.t), tile.row, scan.a.row);
    T* const out = row_of(step_of(scan.out, tile.t), tile.row, scan.out.row);
    T* const y = row_of(step_of(scan.y, tile.t), tile.row, scan.y.row);
    const T* const before = row_of(tile.before.data, tile.row, tile.before.row);
    const Across<T> gate = Across<T>(scan.gates.g, tile.t).row(tile.row);
    const int64_t apart = tile.skip * scan.out.row, a_apart = tile.skip * scan.a.row,
                  y_apart = tile.skip * scan.y.row, before_apart = tile.skip * tile.before.row;
    const auto blend = [&](auto mix) ELMAN_INLINE {
      each_vector(tile, scan.H, [&](int64_t j, int64_t n) ELMAN_INLINE {
        const Vec<T> bias = scan.bias == nullptr ? Vec<T>{} : load(scan.bias + j, n);
        const Vec<T> first = gate.at(j, n);
        return [=, this](Vec<T> z, int64_t i) ELMAN_INLINE {
          if (a != nullptr) z += load(a + i * a_apart + j, n);
          const Vec<T> h = f.template value<T>(z + bias);
          if (y != nullptr) store(y + i * y_apart + j, h, n);
          const Vec<T> g = gate.apart == 0 ? first : gate.row(i * tile.skip).at(j, n);
          const Vec<T> old = before == nullptr ? Vec<T>{} : load(before + i * before_apart + j, n);
          store(out + i * apart + j, mix(g, h, old), n);
        };
      });
    };
    if (gate.flags != nullptr)  // a choice: what is not taken may be anything, NaN too
      blend([](Vec<T> g, Vec<T> h, Vec<T> old) ELMAN_INLINE { return g == Vec<T>{} ? old : h; });
    else
      blend([](Vec<T> g, Vec<T> h, Vec<T> old) ELMAN_INLINE { return g * h + (T(1) - g) * old; });
  }
};

// The same between any gates, or with a norm: the sums into their place, and all that is done to a
// row when it is whole.
template <class T, class F>
struct Gate : Activate<T, F> {
  using Activate<T, F>::Activate, Activate<T, F>::scan, Activate<T, F>::f;
  static constexpr bool kByRow = true;

  void expect(const Rows& rows, const Part& part) const {
    Activate<T, F>::expect(rows, part);
    fetch<1>(scan.y, rows, part);
    expect_gate(scan.gates, rows, part);
  }

  void operator()(const Product<T>& tile) const {
    const T* const a = row_of(step_of(scan.a, tile.t), tile.row, scan.a.row);
    T* const out = row_of(step_of(scan.out, tile.t), tile.row, scan.out.row);
    const int64_t apart = tile.skip * scan.out.row, a_apart = tile.skip * scan.a.row;
    each_vector(tile, scan.H, [&](int64_t j, int64_t n) ELMAN_INLINE {
      return [=](Vec<T> z, int64_t i) ELMAN_INLINE {
        if (a != nullptr) z += load(a + i * a_apart + j, n);
        store(out + i * apart + j, z, n);
      };
    });
  }

  void complete(const Row<T>& row) const {
    T* const to = step_of(scan.out, row.t) + row.r * scan.out.row;
    T* const y = row_of(step_of(scan.y, row.t), row.r, scan.y.row);
    const T *const bias = scan.bias, *const before = row_of(row.before.data, row.r, row.before.row);
    const Across<T> g = Across<T>(scan.gates.g, row.t).row(row.r);
    const Across<T> e = Across<T>(scan.gates.e, row.t).row(row.r);
    const Across<T> left = Across<T>(scan.gates.r, row.t).row(row.r);
    const bool carry = before != nullptr && (e.here() || g.here());
    if (scan.norm.here()) {
      T* const normed = row_of(step_of(scan.normed, row.t), row.r, scan.normed.row);
      T* const scale = row_of(step_of(scan.scales, row.t), row.r, scan.scales.row);
      normalise_row<T>(scan.norm, bias, scan.H, to, normed, scale);
    }
    const bool biased = bias != nullptr && !scan.norm.here();
    const auto value = [&, this](int64_t j, int64_t n) ELMAN_INLINE {
      Vec<T> z = load(to + j, n);
      if (biased) z += load(bias + j, n);
      const Vec<T> h = f.template value<T>(z);
      if (y != nullptr) store(y + j, h, n);
      return h;
    };
    vectors<T>(row.begin, row.end, [&](int64_t j, int64_t n) ELMAN_INLINE {
      Vec<T> h = value(j, n);
      const Vec<T> gate = g.here() ? g.at(j, n) : all<T>(1);
      if (g.here()) h *= gate;
      if (carry) {
        const Vec<T> kept = e.here() ? e.at(j, n) : T(1) - gate, old = load(before + j, n);
        h += kept * (left.here() ? left.times(old, j, n) : old);
      }
      store(to + j, h, n);
    });
  }
};

template <class T>
struct Combine {
  explicit Combine(const LinearScan<T>& of) : scan(of) {}
  static constexpr bool kByRow = false, kReadsMuch = true;
  const LinearScan<T>& scan;

  void expect(const Rows& rows, const Part& part) const {
    for (const Sequence<const T>* s : {&scan.x, &scan.p, &scan.e})
      if (s->data != nullptr) fetch<0>(*s, rows, part);
    fetch<1>(scan.out, rows, part);
  }

  void operator()(const Product<T>& tile) const {
    const auto first = [&](const auto& s) { return row_of(step_of(s, tile.t), tile.row, s.row); };
    const T *const x = first(scan.x), *const p = first(scan.p);
    const T* const before = row_of(tile.before.data, tile.row, tile.before.row);
    const T* const e = before == nullptr ? nullptr : first(scan.e);
    T* const out = first(scan.out);
    each_vector(tile, scan.H, [&](int64_t j, int64_t n) ELMAN_INLINE {
      return [=, this, skip = tile.skip, apart = tile.before.row](Vec<T> s, int64_t i) ELMAN_INLINE {
        const int64_t r = i * skip;
        if (p != nullptr) s *= load(p + r * scan.p.row + j, n);
        s += load(x + r * scan.x.row + j, n);
        if (e != nullptr) s += load(e + r * scan.e.row + j, n) * load(before + r * apart + j, n);
        store(out + r * scan.out.row + j, s, n);
      };
    });
  }
};

template <class T, class F>
struct Back {
  explicit Back(const Backward<T>& of) : scan(of), f(of.f) {}
  static constexpr bool kByRow = false, kReadsMuch = true;
  const Backward<T>& scan;
  const F f;

  void expect(const Rows& rows, const Part& part) const {
    fetch<0>(scan.h, rows, part);
    if (scan.h_bar.data != nullptr) fetch<0>(scan.h_bar, rows, part);
  }

  void operator()(const Product<T>& tile) const {
    const T* const h = row_of(step_of(scan.h, tile.t), tile.row, scan.h.row);
    const T* const h_bar = row_of(step_of(scan.h_bar, tile.t), tile.row, scan.h_bar.row);
    const T* const last_bar =
        row_of(tile.begins ? scan.last_bar.data : nullptr, tile.row, scan.last_bar.row);
    T* const out = row_of(step_of(scan.out, tile.t), tile.row, scan.out.row);
    each_vector(tile, scan.H, [&](int64_t j, int64_t n) ELMAN_INLINE {
      return [=, this, skip = tile.skip](Vec<T> g, int64_t i) ELMAN_INLINE {
        const int64_t r = i * skip;
        if (h_bar != nullptr) g += load(h_bar + r * scan.h_bar.row + j, n);
        if (last_bar != nullptr) g += load(last_bar + r * scan.last_bar.row + j, n);
        store(out + r * scan.out.row + j, f.template back<T>(load(h + r * scan.h.row + j, n), g), n);
      };
    });
  }
};

// The same a whole row at a time.
template <class T, class F>
struct RowBack : Back<T, F> {
  using Back<T, F>::Back, Back<T, F>::scan, Back<T, F>::f;
  static constexpr bool kByRow = true;

  void operator()(const Product<T>& tile) const {
    T* const out = row_of(step_of(scan.out, tile.t), tile.row, scan.out.row);
    const int64_t apart = tile.skip * scan.out.row;
    each_vector(tile, scan.H, [&](int64_t j, int64_t n) ELMAN_INLINE {
      return [=](Vec<T> sum, int64_t i) ELMAN_INLINE { store(out + i * apart + j, sum, n); };
    });
  }

  void complete(const Row<T>& row) const {
    T* const to = step_of(scan.out, row.t) + row.r * scan.out.row;
    const T* const h = step_of(scan.h, row.t) + row.r * scan.h.row;
    const T* const h_bar = row_of(step_of(scan.h_bar, row.t), row.r, scan.h_bar.row);
    const T* const last_bar =
        row_of(row.begins ? scan.last_bar.data : nullptr, row.r, scan.last_bar.row);
    vectors<T>(row.begin, row.end, [&, this](int64_t j, int64_t n) ELMAN_INLINE {
      Vec<T> g = load(to + j, n);
      if (h_bar != nullptr) g += load(h_bar + j, n);
      if (last_bar != nullptr) g += load(last_bar + j, n);
      store(to + j, f.template back<T>(load(h + j, n), g), n);
    });
  }
};

// The same between gates: λ in its place, and what it carries on.
template <class T, class F>
struct GateBack : RowBack<T, F> {
  using RowBack<T, F>::RowBack, RowBack<T, F>::scan, RowBack<T, F>::f;

  void expect(const Rows& rows, const Part& part) const {
    RowBack<T, F>::expect(rows, part);  // h too: it is multiplied soon
    fetch<0>(scan.y, rows, part);
    expect_gate(scan.gates, rows, part);
    if (scan.lambda.data != nullptr) fetch<1>(scan.lambda, rows, part);
  }

  void complete(const Row<T>& row) const {
    const bool carry = scan.gates.carry(), carried_here = carry && !row.begins;
    const Sequence<const T>& told_from = scan.y.data != nullptr ? scan.y : scan.h;
    T* const to = step_of(scan.out, row.t) + row.r * scan.out.row;
    const T* const y = step_of(told_from, row.t) + row.r * told_from.row;
    const T* const h_bar = row_of(step_of(scan.h_bar, row.t), row.r, scan.h_bar.row);
    const T* const last_bar =
        row_of(row.begins ? scan.last_bar.data : nullptr, row.r, scan.last_bar.row);
    T* const lambda = row_of(step_of(scan.lambda, row.t), row.r, scan.lambda.row);
    T* const carried = row_of(scan.carried.data, row.r, scan.carried.row);
    T* const within = row_of(step_of(scan.within, row.t), row.r, scan.within.row);
    const Across<T> g = Across<T>(scan.gates.g, row.t).row(row.r);
    const Across<T> e = Across<T>(scan.gates.e, row.t).row(row.r);
    const Across<T> left = Across<T>(scan.gates.r, row.t).row(row.r);
    // q and r of the step that δ comes from
    const int64_t after = row.t + (scan.reverse ? 1 : -1);
    const Across<T> q = Across<T>(row.begins ? Factor<T>{} : scan.gates.q, after).row(row.r);
    const Across<T> left_after =
        Across<T>(row.begins ? Factor<T>{} : scan.gates.r, after).row(row.r);
    T* const delta = within == nullptr ? to : within;
    const auto reaching = [&](int64_t j, int64_t n, Vec<T> sum) ELMAN_INLINE {
      if (h_bar != nullptr) sum += load(h_bar + j, n);
      if (last_bar != nullptr) sum += load(last_bar + j, n);
      if (carried_here) sum += load(carried + j, n);
      if (lambda != nullptr) store(lambda + j, sum, n);
      return sum;
    };
    const bool more = e.here() || left.here() || q.here() || left_after.here();
    if (g.here() && !more)  // most often, so with fewer questions
      g.each(row.begin, row.end, [&, this](int64_t j, int64_t n, Vec<T> gate) ELMAN_INLINE {
        const Vec<T> sum = reaching(j, n, load(to + j, n));
        store(carried + j, (T(1) - gate) * sum, n);
        store(delta + j, f.template back<T>(load(y + j, n), gate * sum), n);
      });
    else if (!carry && !more)
      vectors<T>(row.begin, row.end, [&, this](int64_t j, int64_t n) ELMAN_INLINE {
        const Vec<T> sum = reaching(j, n, load(to + j, n));
        store(delta + j, f.template back<T>(load(y + j, n), sum), n);
      });
    else
      vectors<T>(row.begin, row.end, [&, this](int64_t j, int64_t n) ELMAN_INLINE {
        Vec<T> sum = load(to + j, n);
        if (q.here()) sum = q.times(sum, j, n);
        if (left_after.here()) sum = left_after.times(sum, j, n);
        sum = reaching(j, n, sum);
        const Vec<T> gate = g.here() ? g.at(j, n) : all<T>(1);
        if (carry) {
          const Vec<T> on = (e.here() ? e.at(j, n) : T(1) - gate) * sum;
          store(carried + j, left.here() ? left.times(on, j, n) : on, n);
        }
        if (g.here()) sum *= gate;
        store(delta + j, f.template back<T>(load(y + j, n), sum), n);
      });
    if (within != nullptr)
      normalise_back<T>(scan.norm, scan.H, within,
                        step_of(scan.normed, row.t) + row.r * scan.normed.row,
                        *(step_of(scan.scales, row.t) + row.r * scan.scales.row), to);
  }
};

}  // namespace
}  // namespace elman
