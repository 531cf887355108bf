// Where the rows of a step lie, and everything of them in whole vectors: what a loop and what
// becomes of its sums are both made of.
#pragma once

#include <algorithm>

#include "cache.h"
#include "scan.h"
#include "simd.h"

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
  // One of so many parts: its rows lie side by side or, `dealt`, were given out one by one.
  Rows part(int64_t k, int64_t parts, bool dealt) const {
    if (dealt) return {row(k), skip * parts, (count - k + parts - 1) / parts};
    const int64_t begin = count * k / parts, end = count * (k + 1) / parts;
    return {row(begin), skip, end - begin};
  }
};

template <class S>
int64_t shift_to(const S& s, int64_t t) {
  return (s.starts == nullptr ? t : s.starts[t]) * s.step;
}
template <class T>
T* step_of(const Sequence<T>& s, int64_t t) {
  return s.data == nullptr ? nullptr : s.data + shift_to(s, t);
}

// A step of a factor, read row by row.
template <class T>
struct Across {
  const T* data;
  const uint8_t* flags;
  int64_t apart;
  bool single;

  Across(const Factor<T>& factor, int64_t t)
      : data(factor.data), flags(factor.flags), apart(factor.row), single(factor.single) {
    if (here()) go(shift_to(factor, t));
  }
  ELMAN_INLINE Across row(int64_t r) const {
    Across of = *this;
    if (here()) of.go(r * apart);
    return of;
  }
  bool here() const { return data != nullptr || flags != nullptr; }
  T first() const { return flags != nullptr ? T(*flags) : *data; }
  ELMAN_INLINE Vec<T> at(int64_t j, int64_t n) const {
    if (single) return all<T>(first());
    return flags != nullptr ? load_flags<T>(flags + j, n) : load(data + j, n);
  }
  // x ⊙ at(j, n). Of bools it is a choice: where one is false x may be anything, NaN too.
  ELMAN_INLINE Vec<T> times(Vec<T> x, int64_t j, int64_t n) const {
    const Vec<T> by = at(j, n), zero{};
    return flags == nullptr ? x * by : by == zero ? zero : x;
  }
  // body(j, n, at(j, n)) for every vector of the columns begin to end.
  template <class Body>
  ELMAN_INLINE void each(int64_t begin, int64_t end, Body body) const {
    const Vec<T> same = single ? at(0, 1) : Vec<T>{};
    if (single)
      vectors<T>(begin, end, [&](int64_t j, int64_t n) ELMAN_INLINE { body(j, n, same); });
    else
      vectors<T>(begin, end, [&](int64_t j, int64_t n) ELMAN_INLINE { body(j, n, at(j, n)); });
  }

 private:
  ELMAN_INLINE void go(int64_t by) {
    if (data != nullptr) data += by;
    if (flags != nullptr) flags += by;
  }
};

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

// A row of a step whose sums lie in their places: columns begin to end, the states it comes from.
template <class T>
struct Row {
  int64_t t, r, begin, end;
  Lines<const T> before;
  bool begins;
};

// For every vector of a tile's columns, n numbers from column j on, take = take_column(j, n); and
// then take(sum, i) for the i-th row of the tile. So what is one for all rows is read once.
template <class T, class TakeColumn>
ELMAN_INLINE inline void each_vector(const Product<T>& tile, int64_t H, TakeColumn take_column) {
  constexpr int64_t lanes = kLanes<T>;
  const int64_t left = H - tile.column, apart = tile.width * lanes;
  const int64_t whole = std::min<int64_t>(tile.width, left / lanes) * lanes;
  const auto rows = [&](int64_t j, int64_t n) ELMAN_INLINE {
    const auto take = take_column(tile.column + j, n);
#pragma GCC unroll 4
    for (int i = 0; i < tile.rows; ++i) take(load(tile.sums + i * apart + j), i);
  };
  for (int64_t j = 0; j < whole; j += lanes) rows(j, lanes);
  if (whole < apart && whole < left) rows(whole, left - whole);
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

// Asks for every row of a part.
template <int kWrite, class T>
void fetch(const Sequence<T>& s, const Rows& rows, const Part& part) {
  const T* step = step_of(s, part.t);
  for (int64_t i = 0; step != nullptr && i < part.live; ++i)
    fetch_row<kWrite>(step + rows.row(i) * s.row, part.begin, part.end);
}

// The only gate that is likely to be large.
template <class T>
void expect_gate(const Gates<T>& gates, const Rows& rows, const Part& part) {
  const Factor<T>& g = gates.g;
  if (g.step == 0 || g.single) return;
  fetch<0>(Sequence<const T>{g.data, g.step, g.row, g.starts}, rows, part);
  fetch<0>(Sequence<const uint8_t>{g.flags, g.step, g.row, g.starts}, rows, part);
}

}  // namespace
}  // namespace elman
