// What becomes of a tile's sums: the next states, or the next δ.
#pragma once

#include "scan.h"
#include "tiles.h"

namespace elman {
namespace {

// The rows first, first + skip, ... of a batch.
struct Rows {
  int64_t first, skip, count;

  int64_t live(const Time& time, int64_t t) const {
    return time.batch_sizes == nullptr ? count : below(time.batch_sizes[t]);
  }
  int64_t below(int64_t row) const {
    return row <= first ? 0 : std::min(count, (row - first + skip - 1) / skip);
  }
  int64_t row(int64_t i) const { return first + i * skip; }
};

template <class T>
T* step_of(const Sequence<T>& s, int64_t t) {
  if (s.data == nullptr) return nullptr;
  return s.data + (s.starts == nullptr ? t : s.starts[t]) * s.step;
}

// A tile of a step: `rows` rows from `row`, `skip` apart, and `width` vectors from `column`.
// Its sums, row after row; and the states it comes from, absent where a row begins at zero.
template <class T>
struct Product {
  int64_t t, row, skip;
  int rows;
  int64_t column;
  int width;
  const T* sums;
  Lines<const T> before;
  bool begins;
};

// For every row r of a tile take = take_row(r), and then take(sum, j, n) for every vector of the
// row: n numbers from column j on.
template <class T, class TakeRow>
inline void each_vector(const Product<T>& tile, int64_t H, TakeRow take_row) {
  constexpr int64_t lanes = kLanes<T>;
  const T* sums = tile.sums;
  const int64_t left = H - tile.column;
  const int whole = static_cast<int>(std::min<int64_t>(tile.width, left / lanes));
  for (int i = 0; i < tile.rows; ++i, sums += tile.width * lanes) {
    const auto take = take_row(tile.row + i * tile.skip);
    for (int v = 0; v < whole; ++v) take(load(sums + v * lanes), tile.column + v * lanes, lanes);
    if (whole < tile.width && whole * lanes < left)
      take(load(sums + whole * lanes), tile.column + whole * lanes, left - whole * lanes);
  }
}

// Row r of a step; null where the step is.
template <class T>
inline T* row_of(T* step, int64_t r, int64_t row) {
  return step == nullptr ? nullptr : step + r * row;
}

// The part of a step that comes next: its rows, and the columns begin to end.
struct Part {
  int64_t t, live, begin, end;
};

// Asks for what a part will read or, with `kWrite`, write, before it is needed.
template <int kWrite, class T>
void fetch(const Sequence<T>& s, const Rows& rows, const Part& part) {
  const T* step = step_of(s, part.t);
  for (int64_t i = 0; step != nullptr && i < part.live; ++i) {
    const char* row = reinterpret_cast<const char*>(step + rows.row(i) * s.row);
    for (int64_t j = part.begin * sizeof(T); j < static_cast<int64_t>(part.end * sizeof(T));
         j += 64)
      __builtin_prefetch(row + j, kWrite);
  }
}

// --- what becomes of the sums of a tile ------------------------------------------------------

template <class T, class F>
struct Activate {
  const Scan<T>& scan;

  void expect(const Rows& rows, const Part& part) const {
    if (scan.a.data != nullptr && scan.a.data != scan.out.data) fetch<0>(scan.a, rows, part);
    if (scan.x.data != nullptr) fetch<0>(scan.x, rows, {part.t, part.live, 0, scan.K});
    fetch<1>(scan.out, rows, part);
  }

  void operator()(const Product<T>& tile) const {
    const T* a = step_of(scan.a, tile.t);
    T* out = step_of(scan.out, tile.t);
    each_vector(tile, scan.H, [&](int64_t r) {
      return [from = row_of(a, r, scan.a.row), bias = scan.bias, to = row_of(out, r, scan.out.row)](
                 Vec<T> z, int64_t j, int64_t n) {
        if (from != nullptr) z += load(from + j, n);
        if (bias != nullptr) z += load(bias + j, n);
        store(to + j, F::template value<T>(z), n);
      };
    });
  }
};

template <class T>
struct Combine {
  const LinearScan<T>& scan;

  void expect(const Rows& rows, const Part& part) const {
    for (const Sequence<const T>* s : {&scan.x, &scan.p, &scan.e})
      if (s->data != nullptr) fetch<0>(*s, rows, part);
    fetch<1>(scan.out, rows, part);
  }

  void operator()(const Product<T>& tile) const {
    const T* x = step_of(scan.x, tile.t);
    const T* p = step_of(scan.p, tile.t);
    const T* e = tile.before.data == nullptr ? nullptr : step_of(scan.e, tile.t);
    T* out = step_of(scan.out, tile.t);
    each_vector(tile, scan.H, [&](int64_t r) {
      return [x = row_of(x, r, scan.x.row), p = row_of(p, r, scan.p.row),
              e = row_of(e, r, scan.e.row), before = row_of(tile.before.data, r, tile.before.row),
              to = row_of(out, r, scan.out.row)](Vec<T> s, int64_t j, int64_t n) {
        if (p != nullptr) s *= load(p + j, n);
        s += load(x + j, n);
        if (e != nullptr) s += load(e + j, n) * load(before + j, n);
        store(to + j, s, n);
      };
    });
  }
};

template <class T, class F>
struct Back {
  const Backward<T>& scan;

  void expect(const Rows& rows, const Part& part) const {
    fetch<0>(scan.h, rows, part);
    if (scan.h_bar.data != nullptr) fetch<0>(scan.h_bar, rows, part);
  }

  void operator()(const Product<T>& tile) const {
    const T* h = step_of(scan.h, tile.t);
    const T* h_bar = step_of(scan.h_bar, tile.t);
    const T* last_bar = tile.begins ? scan.last_bar.data : nullptr;
    T* out = step_of(scan.out, tile.t);
    each_vector(tile, scan.H, [&](int64_t r) {
      return [h = row_of(h, r, scan.h.row), h_bar = row_of(h_bar, r, scan.h_bar.row),
              last_bar = row_of(last_bar, r, scan.last_bar.row),
              to = row_of(out, r, scan.out.row)](Vec<T> g, int64_t j, int64_t n) {
        if (h_bar != nullptr) g += load(h_bar + j, n);
        if (last_bar != nullptr) g += load(last_bar + j, n);
        store(to + j, F::template back<T>(load(h + j, n), g), n);
      };
    });
  }
};

}  // namespace
}  // namespace elman
