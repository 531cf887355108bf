// The loops over time.
//
// Rows never meet, so threads share them out and need not wait for each other. Where there are
// few rows and M is large, the threads share its columns instead and meet at every step.
#pragma once

#include <numeric>
#include <vector>

#include "finish.h"
#include "scan.h"
#include "threads.h"
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
    if (q.here()) state *= q.at(j, n);
    if (left.here()) state *= left.at(j, n);
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

  // The s-th step in the order of the scan, for the panels begin to end of M.
  void step(int64_t s, int64_t begin, int64_t end, T* scratch) {
    const int64_t t = step_at(s), live = rows_.live(time_, t);
    const int64_t before_now =
        s == 0 ? rows_.below(scan_.resumed) : rows_.live(time_, step_at(s - 1));
    const int64_t going = std::min(live, before_now);
    Lines<const T> before = scan_.resume;
    if (s > 0) before = {step_of(scan_.out, step_at(s - 1)), scan_.out.row};
    Band bands[] = {{0, going, before, before, false},
                   {going, live, scan_.initial, scan_.initial, true}};
    for (Band& rows : bands)
      if (scratch != nullptr && rows.states.data != nullptr) scale(t, rows, scratch);
    const bool fills = s == 0 && !weights_.packed && !weights_.direct;
    for (int64_t k = begin; k < end; ++k) {
      // there and back again: the panels last used are still at hand
      const int64_t panel = s % 2 == 0 ? k : end - 1 - (k - begin);
      const Coming coming = coming_after(s, panel);
      // of a single step, each in the place of the first: that is at hand
      const int64_t place = fills && time_.L == 1 ? begin : panel;
      if (fills) pack_panel(scan_, weights_, panel, place);
      for (const Band& rows : bands)
        if (rows.begin < rows.end) multiply(t, rows, panel, place, coming);
    }
    if constexpr (Finish::kByRow) {
      const int64_t from = weights_.weight.first_column(begin);
      const int64_t to = std::min(scan_.H, weights_.weight.first_column(end));
      for (const Band& rows : bands)
        for (int64_t i = rows.begin; i < rows.end; ++i)
          finish_.complete({t, rows_.row(i), from, to, rows.states, rows.begins});
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
    const int64_t t = step_at(s + 1), live = rows_.live(time_, t);
    const int64_t panels = weights_.weight.count(), K = weights_.x_weight.K();
    const auto line = [&](int64_t j) { return j / kLine<T> * kLine<T>; };
    const auto column = [&](int64_t k) {
      return k == panels ? scan_.H : line(weights_.weight.first_column(k));
    };
    const auto place = [&](int64_t k) { return k == panels ? K : line(K * k / panels); };
    return {{t, live, column(panel), column(panel + 1)}, {t, live, place(panel), place(panel + 1)}};
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
  void scale(int64_t t, Band& rows, T* scratch) const {
    const Inside<T> by = inside_of(scan_);
    const Across<T> q(by.q, t), left(by.r, t);
    for (int64_t i = rows.begin; i < rows.end; ++i) {
      const int64_t r = rows_.row(i);
      scale_row(q.row(r), left.row(r), rows.states.data + r * rows.states.row, scan_.H,
                scratch + r * scan_.H);
    }
    rows.inside = {scratch, scan_.H};
  }

  // The tiles of one panel, which lies in some panel's place.
  void multiply(int64_t t, const Band& rows, int64_t panel, int64_t place,
                const Coming& coming) const {
    alignas(64) T sums[kBlock<T>];
    const Panels<T>&M = weights_.weight, &Wx = weights_.x_weight;
    const Sequence<const T>& input = input_of(scan_);
    const Lines<const T>& inside = rows.inside;
    const T* x = step_of(input, t);
    const int width = M.width(panel);
    const int64_t tallest = cut_.tallest(width);
    for (int64_t block = rows.begin; block < rows.end; block += kRowsAtOnce) {
      const int64_t count = std::min(kRowsAtOnce, rows.end - block);
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
               width, sums, rows.states, rows.begins});
    }
  }

  const R& scan_;
  const Finish finish_;
  const Time& time_;
  Weights<T>& weights_;
  const Cut cut_;
  const Rows rows_;
};

// How the threads divide the work.
struct Plan {
  bool alone;       // one thread
  bool by_columns;  // all threads at one recurrence, each with some columns of M
  int64_t chunks;   // or each with some rows, in so many chunks a recurrence
};

constexpr double kWorth = 3e5;              // multiplications: what a thread must have to do
constexpr double kWorthAStep = 3e4;         // the same between two meetings
constexpr double kWorthPacking = 3e4;       // numbers of W to bring into panels
constexpr int64_t kEnoughRows = 4;          // rows of a chunk, if possible
constexpr int64_t kManyRowsEach = 24;       // the same where M is larger than
constexpr int64_t kLargeWeights = 1 << 20;  // bytes

inline int64_t rows_in(const Time& time) {
  if (time.batch_sizes == nullptr) return time.L * time.N;
  return std::accumulate(time.batch_sizes, time.batch_sizes + time.L, int64_t{0});
}

// For `count` recurrences with `each` multiplications a row; `by_rows`, none may cut a row.
inline Plan plan_for(double each, int64_t bytes, int64_t count, const Time& time,
                     const Parallel& parallel, bool by_rows) {
  const int64_t threads = parallel.threads, N = time.N;
  const double work = each * static_cast<double>(rows_in(time) * count);
  Plan plan{threads <= 1 || work < kWorth * static_cast<double>(threads), false, 1};
  if (plan.alone || count % threads == 0) return plan;
  // A large M is better shared: a thread's part of it may stay in its cache from step to step.
  const int64_t enough = bytes > kLargeWeights ? kManyRowsEach : kEnoughRows;
  plan.by_columns = !by_rows && (time.L == 1 || N < threads * enough) &&
                    each * static_cast<double>(N) > kWorthAStep * static_cast<double>(threads);
  if (plan.by_columns) return plan;
  const int64_t chunks = threads / std::gcd(threads, count);
  plan.chunks = std::max<int64_t>(1, std::min(chunks, N / kEnoughRows));
  plan.alone = plan.chunks * count == 1;
  return plan;
}

// Brings M (and Wx) of every scan into panels.
template <class T, class R>
void pack(const std::vector<R>& scans, std::vector<Weights<T>>& weights, const Parallel& parallel) {
  const int64_t panels = weights[0].weight.count(), H = scans[0].H;
  const bool worth = static_cast<double>(H * H) > kWorthPacking * parallel.threads;
  share(parallel, static_cast<int64_t>(weights.size()) * panels, worth, [&](int64_t task) {
    pack_panel(scans[task / panels], weights[task / panels], task % panels, task % panels);
  });
  for (Weights<T>& w : weights) w.packed = true;
}

template <class T, class L>
void keep_last_of(const Scan<T>& scan, const L& loop) {
  loop.keep_last(scan.last);
}
template <class T, class L>
void keep_last_of(const Recurrence<T>&, const L&) {}

// All rows of every recurrence, each in a time of its own. M (and Wx) come into panels on the way,
// unless they are there already or read where they lie.
template <class T, class Finish, class R>
Status recur(const std::vector<R>& scans, const std::vector<Time>& times, const Parallel& parallel,
             std::vector<Weights<T>>& weights) {
  const int64_t count = static_cast<int64_t>(scans.size());
  const int64_t H = scans[0].H, N = times[0].N, panels = weights[0].weight.count();
  const bool scaled =
      std::any_of(scans.begin(), scans.end(), [](const R& scan) { return inside_of(scan).here(); });
  const bool by_rows =
      scaled || std::any_of(scans.begin(), scans.end(), [](const R& scan) { return whole(scan); });
  const bool fused = input_of(scans[0]).data != nullptr;
  const double each =
      static_cast<double>(H) * static_cast<double>(H + (fused ? weights[0].x_weight.K() : 0));
  const Plan plan =
      plan_for(each, H * H * static_cast<int64_t>(sizeof(T)), count, times[0], parallel, by_rows);
  const Buffer<T> scratch = scaled ? buffer<T>(count * N * H) : nullptr;
  if (scaled && scratch == nullptr) return Status::out_of_memory;
  const auto loop = [&](int64_t k, Rows rows) {
    return Loop<T, R, Finish>(scans[k], times[k], weights[k], cut_for(N), rows);
  };
  if (!weights[0].direct && !weights[0].packed && !plan.by_columns && !plan.alone)
    pack(scans, weights, parallel);
  if (plan.by_columns) {
    const int64_t parts = std::min<int64_t>(parallel.threads, panels);
    for (int64_t k = 0; k < count; ++k) {
      Crew crew(parts);
      auto all_rows = loop(k, {0, 1, N});
      share(parallel, parts, true, [&](int64_t own) {
        crew.run(times[k].L, own, [&](int64_t s, int64_t part) {
          all_rows.step(s, panels * part / parts, panels * (part + 1) / parts, nullptr);
        });
      });
      keep_last_of(scans[k], all_rows);
    }
    return Status::ok;
  }
  share(parallel, count * plan.chunks, !plan.alone, [&](int64_t task) {
    const int64_t k = task / plan.chunks, c = task % plan.chunks;
    const int64_t first = N * c / plan.chunks, end = N * (c + 1) / plan.chunks;
    // packed, the first rows are the longest: deal them out one by one
    const Rows rows = times[k].batch_sizes == nullptr
                          ? Rows{first, 1, end - first}
                          : Rows{c, plan.chunks, (N - c + plan.chunks - 1) / plan.chunks};
    auto some_rows = loop(k, rows);
    T* const inside = scaled ? scratch.get() + k * N * H : nullptr;
    for (int64_t s = 0; s < times[k].L; ++s) some_rows.step(s, 0, panels, inside);
    keep_last_of(scans[k], some_rows);
  });
  return Status::ok;
}

}  // namespace
}  // namespace elman
