// Products over a whole sequence, with no order in time: rows × W, and Σ uᵀ v over all rows.
//
// Like the loops, they give the same result on any number of threads.
#pragma once

#include <vector>

#include "recur.h"

namespace elman {
namespace {

// The sums of a tile of rows × W, whose first row is the i-th, go where to(i) says.
template <class T, class To>
inline void keep_sums(const T* sums, int rows, const Panels<T>& W, int64_t panel, int64_t i, To to,
                      bool add) {
  const Product<T> tile{0, i, 1, rows, W.first_column(panel), W.width(panel), sums, {}, false};
  each_vector(tile, W.H(), [&](int64_t j, int64_t n) ELMAN_INLINE {
    return [&, j, n](Vec<T> z, int64_t k) ELMAN_INLINE {
      T* const place = to(i + k) + j;
      store(place, add ? load(place, n) + z : z, n);
    };
  });
}

// to(i) = (add ? to(i) : 0) + row i × W, for the panels first to last and the rows begin to end
template <class T, class To>
void multiply_rows(const Lines<const T>& rows, const Panels<T>& W, int64_t first, int64_t last,
                   int64_t begin, int64_t end, To to, bool add) {
  alignas(64) T sums[kTile<T>];
  const Cut cut = cut_of(W.widest());
  for (int64_t panel = first; panel < last; ++panel) {
    const int width = W.width(panel);
    each_tile(end - begin, cut.tallest(width), [&](int64_t k, int n) {
      const int64_t i = begin + k;
      tile_for<T>(cut, n, width)({rows.data + i * rows.row, rows.row, W.data(panel), W.K()}, {},
                                 sums);
      keep_sums(sums, n, W, panel, i, to, add);
    });
  }
}

// Rows that lie evenly: `count` of them, from step t and row r on.
struct Run {
  int64_t t, r, count;
  bool along_time;
};

template <class T>
bool gapless(const Sequence<T>& s, const Time& time) {
  return s.step == (s.starts == nullptr ? time.N : 1) * s.row;
}

// `to` = `from` × W for every row of a sequence, W being brought into panels on the way or, with
// `direct`, read where it lies. Threads share the rows; or, if they are few, the panels, which are
// used while they are at hand.
template <class T>
void multiply(const Sequence<const T>& from, const Matrix<T>& weight, Panels<T>& W, bool direct,
              const Sequence<T>& to, const Time& time, Team& team) {
  constexpr int64_t kRows = 64;  // of a task
  std::vector<Run> runs;
  const auto add = [&](int64_t t, int64_t r, int64_t count, bool along_time) {
    for (int64_t i = 0; i < count; i += kRows)
      runs.push_back(
          {along_time ? t + i : t, along_time ? r : r + i, std::min(kRows, count - i), along_time});
  };
  const int64_t rows = rows_in(time);
  if (gapless(from, time) && gapless(to, time))
    add(0, 0, rows, false);
  else if (time.batch_sizes == nullptr && time.N < time.L)
    for (int64_t r = 0; r < time.N; ++r) add(0, r, time.L, true);
  else
    for (int64_t t = 0; t < time.L; ++t)
      add(t, 0, time.batch_sizes == nullptr ? time.N : time.batch_sizes[t], false);
  const auto multiply_run = [&](const Run& run, int64_t first, int64_t last) {
    const T* begin = step_of(from, run.t) + run.r * from.row;
    T* out = step_of(to, run.t) + run.r * to.row;
    const int64_t apart = run.along_time ? to.step : to.row;
    const Lines<const T> rows{begin, run.along_time ? from.step : from.row};
    const auto place = [&](int64_t i) { return out + i * apart; };
    if (!direct) return multiply_rows<T>(rows, W, first, last, 0, run.count, place, false);
    alignas(64) T sums[kTile<T>];
    each_tile(run.count, kManyRows.tallest(W.widest()), [&](int64_t i, int n) {
      multiply_by_columns(begin + i * rows.row, rows.row, n, W, weight, first, sums, false);
      keep_sums(sums, n, W, first, i, place, false);
    });
  };
  const double work = static_cast<double>(rows * W.K()) * static_cast<double>(W.H());
  const bool worth = team.worth(work);
  const bool by_panels = direct || rows < kRows * 2 * team.threads();
  team.share(W.count(), worth, [&](int64_t panel) {
    if (!direct) W.fill(weight, panel);
    if (by_panels)
      for (const Run& run : runs) multiply_run(run, panel, panel + 1);
  });
  if (by_panels) return;
  team.share(static_cast<int64_t>(runs.size()), worth,
             [&](int64_t k) { multiply_run(runs[k], 0, W.count()); });
}

// to (columns of u, W.H) = (add ? to : 0) + Σ_k u_kᵀ w_k, with u_k the k-th of `rows` and w_k row k
// of W: the columns begin to end of u, for one panel of W
template <class T>
void add_outer(const Lines<const T>& rows, const Panels<T>& W, int64_t panel, int64_t begin,
               int64_t end, T* to, bool add) {
  alignas(64) T sums[kTile<T>];
  const int width = W.width(panel);
  const int64_t first = W.first_column(panel);
  const int64_t last = std::min(W.H(), first + width * kLanes<T>);
  each_tile(end - begin, kManyRows.tallest(width), [&](int64_t k, int n) {
    const int64_t j = begin + k;
    // `to` may be large and far away: it comes while the sums are made
    for (int i = 0; i < n; ++i) fetch_row<1>(to + (j + i) * W.H(), first, last);
    kTiles<T, kManyRows, true>.of[n - 1][width - 1]({rows.data + j, rows.row, W.data(panel), W.K()},
                                                    {}, sums);
    keep_sums(sums, n, W, panel, j, [&](int64_t i) { return to + i * W.H(); }, add);
  });
}

// J columns of u, from u on, times V vectors of each w_k, from column i on; a single vector may
// have fewer numbers, n.
template <class T, int J, int V>
inline void outer_block(const T* u, int64_t along, const T* const* w, int64_t count, int64_t i,
                        int64_t n, T* to, int64_t apart, bool add) {
  constexpr int64_t lanes = kLanes<T>;
  if constexpr (V > 1) n = lanes;
  Vec<T> sums[J][V] = {};
  for (int64_t k = 0; k < count; ++k, u += along) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      Vec<T> line = load(w[k] + i + v * lanes, n);
      in_register(line);
#pragma GCC unroll 4
      for (int j = 0; j < J; ++j) sums[j][v] += all(u[j]) * line;
    }
  }
#pragma GCC unroll 4
  for (int j = 0; j < J; ++j)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      T* const place = to + j * apart + i + v * lanes;
      store(place, add ? load(place, n) + sums[j][v] : sums[j][v], n);
    }
}

// The same for rows w_k, H numbers each, that are too few to be worth panels.
template <class T>
void add_outer_of_few(const Lines<const T>& rows, const T* const* w, int64_t count, int64_t H,
                      int64_t begin, int64_t end, T* to, bool add) {
  constexpr int64_t lanes = kLanes<T>;
  constexpr int V = kRoomy ? 4 : 2;  // whole lines of the cache: `to` is written line by line
  const auto line = [&](auto wide, auto narrow, int64_t j) {
    int64_t i = 0;
    for (; i + V * lanes <= H; i += V * lanes)
      wide(rows.data + j, rows.row, w, count, i, lanes, to + j * H, H, add);
    for (; i < H; i += lanes)
      narrow(rows.data + j, rows.row, w, count, i, std::min(lanes, H - i), to + j * H, H, add);
  };
  int64_t j = begin;
  for (; j + 4 <= end; j += 4) line(outer_block<T, 4, V>, outer_block<T, 4, 1>, j);
  for (; j < end; ++j) line(outer_block<T, 1, V>, outer_block<T, 1, 1>, j);
}

// to = (add ? to : 0) + Σ_k u_k over all rows, for the columns begin to end
template <class T>
void add_rows(const Lines<const T>& rows, int64_t count, int64_t begin, int64_t end, T* to,
              bool add) {
  for (int64_t j = begin; j < end; j += kLanes<T>) {
    const int64_t n = std::min<int64_t>(kLanes<T>, end - j);
    Vec<T> sum{};
    for (int64_t k = 0; k < count; ++k) sum += load(rows.data + k * rows.row + j, n);
    store(to + j, add ? load(to + j, n) + sum : sum, n);
  }
}

}  // namespace
}  // namespace elman
