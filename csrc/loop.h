// A loop over time, for some rows of one recurrence.
#pragma once

#include "finish.h"
#include "scan.h"
#include "tiles.h"

namespace elman {
namespace {

// M, and Wx of a scan that makes its own product with x, as the kernels read them.
template <class T>
struct Weights {
  Panels<T> weight, x_weight;
  bool direct;          // read M and Wx where they lie, not in the panels
  bool packed = false;  // the panels are filled; else each is at its first use
  bool ok() const { return weight.ok() && x_weight.ok(); }
};

// What a step multiplies besides the states: x_t for a scan, nothing for the others.
template <class T>
const Sequence<const T>& input_of(const Scan<T>& scan) {
  return scan.x;
}
template <class T>
Sequence<const T> input_of(const Recurrence<T>&) {
  return {};
}

template <class T>
const Matrix<T>& input_weight_of(const Scan<T>& scan) {
  return scan.x_weight;
}
template <class T>
const Matrix<T>& input_weight_of(const Recurrence<T>& scan) {
  return scan.weight;  // never asked for: there is no input
}

// What stands before the states in the product: q and r, which what goes back in time has behind
// it.
template <class T>
struct Inside {
  Factor<T> q, r;
  bool here() const { return q.here() || r.here(); }
};
template <class T>
Inside<T> inside_of(const LinearScan<T>& scan) {
  return {{scan.q.data, nullptr, scan.q.step, scan.q.row, scan.q.starts, false}, {}};
}
template <class T>
Inside<T> inside_of(const Scan<T>& scan) {
  return {scan.gates.q, scan.gates.r};
}
template <class T>
Inside<T> inside_of(const Backward<T>&) {
  return {};
}

// Whether a row has to be whole before it can go on.
template <class T>
bool whole(const LinearScan<T>&) {
  return false;
}
template <class S>
bool whole(const S& scan) {
  return scan.norm.here();
}

template <class T>
void pack_panel(const Recurrence<T>& scan, Weights<T>& to, int64_t panel, int64_t place) {
  to.weight.fill(scan.weight, panel, place);
}
template <class T>
void pack_panel(const Scan<T>& scan, Weights<T>& to, int64_t panel, int64_t place) {
  to.weight.fill(scan.weight, panel, place);
  if (scan.x.data != nullptr) to.x_weight.fill(scan.x_weight, panel, place);
}

// to = q ⊙ r ⊙ row.
template <class T>
inline void scale_row(const Across<T>& q, const Across<T>& left, const T* row, int64_t H, T* to) {
  vectors<T>(0, H, [&](int64_t j, int64_t n) ELMAN_INLINE {
    Vec<T> state = load(row + j, n);
    if (q.here()) state = q.times(state, j, n);
    if (left.here()) state = left.times(state, j, n);
    store(to + j, state, n);
  });
}

// One recurrence over some rows; `finish` takes each tile's sums to the output.
template <class T, class R, class Finish>
class Loop {
 public:
  Loop(const R& scan, const Time& time, Weights<T>& weights, const Cut& cut, Rows rows)
      : scan_(scan), finish_(scan), time_(time), weights_(weights), cut_(cut), rows_(rows) {}

  int64_t step_at(int64_t s) const { return scan_.reverse ? time_.L - 1 - s : s; }
  // Its rows in the s-th step.
  int64_t live(int64_t s) const { return rows_.live(time_, step_at(s)); }

  // The s-th step in the order of the scan, for the panels begin to end of M.
  void step(int64_t s, int64_t begin, int64_t end, T* scratch) {
    const int64_t t = step_at(s), rows = live(s);
    const int64_t going = std::min(rows, s == 0 ? rows_.below(scan_.resumed) : live(s - 1));
    Lines<const T> before = scan_.resume;
    if (s > 0) before = {step_of(scan_.out, step_at(s - 1)), scan_.out.row};
    Band bands[] = {{0, going, before, before, false},
                    {going, rows, scan_.initial, scan_.initial, true}};
    for (Band& band : bands)
      if (scratch != nullptr && band.states.data != nullptr) scale(t, band, scratch);
    const bool fills = s == 0 && !weights_.packed && !weights_.direct;
    for (int64_t k = begin; k < end; ++k) {
      // there and back again: the panels last used are still at hand
      const int64_t panel = s % 2 == 0 ? k : end - 1 - (k - begin);
      const Coming coming = coming_after(s, panel);
      // of a single step, each in the place of the first: that is at hand
      const int64_t place = fills && time_.L == 1 ? begin : panel;
      if (fills) pack_panel(scan_, weights_, panel, place);
      for (const Band& band : bands)
        if (band.begin < band.end) multiply(t, band, panel, place, coming);
    }
    if constexpr (Finish::kByRow) {
      const int64_t from = weights_.weight.first_column(begin);
      const int64_t to = std::min(scan_.H, weights_.weight.first_column(end));
      for (const Band& band : bands)
        for (int64_t i = band.begin; i < band.end; ++i)
          finish_.complete({t, rows_.row(i), from, to, band.states, band.begins});
    }
  }

  void keep_last(const Lines<T>& last) const {
    if (last.data == nullptr) return;
    for (int64_t i = 0, length = time_.L; i < rows_.count; ++i) {
      const int64_t r = rows_.row(i);
      if (time_.batch_sizes != nullptr)  // rows are sorted: each no longer than the one before
        while (length > 0 && time_.batch_sizes[length - 1] <= r) --length;
      if (length == 0 && scan_.initial.data == nullptr) {
        std::fill(last.data + r * last.row, last.data + r * last.row + scan_.H, T(0));
        continue;
      }
      const T* from = length == 0
                          ? scan_.initial.data + r * scan_.initial.row
                          : step_of(scan_.out, scan_.reverse ? 0 : length - 1) + r * scan_.out.row;
      std::memcpy(last.data + r * last.row, from, scan_.H * sizeof(T));
    }
  }

 private:
  // Some rows of a step: the states they come from, and these as the product sees them; absent
  // where they are zero. They are a row's first where it begins.
  struct Band {
    int64_t begin, end;
    Lines<const T> states, inside;
    bool begins;
  };

  // The step that comes next: a panel's columns, and as large a part of x; each but for a line the
  // next panel has. Nothing after the last step; nor of a row by itself, unless much is read: few
  // sequences the processor follows unasked.
  struct Coming {
    Part columns, of_x;
  };
  Coming coming_after(int64_t s, int64_t panel) const {
    if (s + 1 == time_.L || (rows_.count == 1 && !Finish::kReadsMuch)) return {};
    const int64_t t = step_at(s + 1), rows = live(s + 1);
    const int64_t panels = weights_.weight.count(), K = weights_.x_weight.K();
    const auto line = [&](int64_t j) { return j / kLine<T> * kLine<T>; };
    const auto column = [&](int64_t k) {
      return k == panels ? scan_.H : line(weights_.weight.first_column(k));
    };
    const auto place = [&](int64_t k) { return k == panels ? K : line(K * k / panels); };
    return {{t, rows, column(panel), column(panel + 1)}, {t, rows, place(panel), place(panel + 1)}};
  }

  // Asks for what comes of n rows, from the i-th on.
  void expect(const Coming& coming, int64_t i, int64_t n) const {
    const Rows rows{rows_.row(i), rows_.skip, n};
    const auto of = [&](Part part) {
      part.live = std::min(n, part.live - i);
      return part;
    };
    fetch<0>(input_of(scan_), rows, of(coming.of_x));
    finish_.expect(rows, of(coming.columns));
  }

  // q ⊙ r ⊙ s_{t-1} inside.
  void scale(int64_t t, Band& band, T* scratch) const {
    const Inside<T> by = inside_of(scan_);
    const Across<T> q(by.q, t), left(by.r, t);
    for (int64_t i = band.begin; i < band.end; ++i) {
      const int64_t r = rows_.row(i);
      scale_row(q.row(r), left.row(r), band.states.data + r * band.states.row, scan_.H,
                scratch + r * scan_.H);
    }
    band.inside = {scratch, scan_.H};
  }

  // The tiles of one panel, which lies in some panel's place.
  void multiply(int64_t t, const Band& band, int64_t panel, int64_t place,
                const Coming& coming) const {
    alignas(64) T sums[kBlock<T>];
    const Panels<T>&M = weights_.weight, &Wx = weights_.x_weight;
    const Sequence<const T>& input = input_of(scan_);
    const Lines<const T>& inside = band.inside;
    const T* x = step_of(input, t);
    const int width = M.width(panel);
    const int64_t tallest = cut_.tallest(width);
    for (int64_t block = band.begin; block < band.end; block += kRowsAtOnce) {
      const int64_t count = std::min(kRowsAtOnce, band.end - block);
      each_tile(count, tallest, [&](int64_t i, int n) ELMAN_INLINE {
        const int64_t r = rows_.row(block + i);
        T* const to = sums + i * width * kLanes<T>;
        if (coming.columns.live > block + i) expect(coming, block + i, n);
        Term<T> of_x{}, of_h{};
        if (x != nullptr)
          of_x = {x + r * input.row, rows_.skip * input.row, Wx.data(place), Wx.K()};
        if (inside.data != nullptr)
          of_h = {inside.data + r * inside.row, rows_.skip * inside.row, M.data(place), M.K()};
        if (!weights_.direct) return tile_for<T>(cut_, n, width)(of_x, of_h, to);
        if (x != nullptr)
          multiply_by_columns(of_x.rows, of_x.apart, n, Wx, input_weight_of(scan_), panel, to,
                              false);
        if (inside.data != nullptr)
          multiply_by_columns(of_h.rows, of_h.apart, n, M, scan_.weight, panel, to, x != nullptr);
        if (x == nullptr && inside.data == nullptr) std::fill(to, to + n * width * kLanes<T>, T(0));
      });
      finish_({t, rows_.row(block), rows_.skip, static_cast<int>(count), M.first_column(panel),
               width, sums, band.states, band.begins});
    }
  }

  const R& scan_;
  const Finish finish_;
  const Time& time_;
  Weights<T>& weights_;
  const Cut cut_;
  const Rows rows_;
};

}  // namespace
}  // namespace elman
