// Small matrix products, rows × W, with W laid out so that memory is read in order.
//
// The columns of W are cut into panels of a few vectors; a panel holds its columns of every row
// of W, one row after the other. A tile is a few rows times one panel: its sums stay
// in registers while W streams by. Each sum runs over k in order, in `chains` interleaved
// parts, whatever the tile's height: a row's result does not depend on the rows beside it.
#pragma once

#include <algorithm>
#include <utility>

#include "cache.h"
#include "scan.h"
#include "scratch.h"
#include "simd.h"

namespace elman {
namespace {

// How tiles are cut. An addition to a sum waits for the one before, so that many sums have to be
// under way at a time: where rows are few panels are wider, and in narrow ones a sum has parts.
constexpr bool kRoomy = kRegisters == 32;
constexpr int kSums = kRoomy ? 24 : 12;  // vectors of sums that registers hold, with some to spare
struct Cut {
  int most;    // rows of a tile, if registers hold their sums
  int widest;  // vectors of a panel
  int sums;    // vectors of sums under way for each row, as far as 4 parts of a sum give them
  constexpr int chains(int width) const {
    return std::min(4, std::max(1, sums / width));  // parts of a sum
  }
  constexpr int tallest(int width) const {
    return std::min(most, std::max(1, kSums / (width * chains(width))));
  }
};
constexpr Cut kOneRow{1, kRoomy ? 4 : 8, kRoomy ? 16 : 14}, kFewRows{3, 4, kRoomy ? 8 : 4},
    kManyRows{8, 3, 3};
// Numbers of a tile, at most; and of the sums of so many rows and a panel, that are taken on together.
constexpr int64_t kRowsAtOnce = 32;
template <class T>
constexpr int64_t kTile = kSums * kLanes<T>;
template <class T>
constexpr int64_t kBlock = kRowsAtOnce * kManyRows.widest * kLanes<T>;

// body(i, n) for tiles of n rows, from the i-th on: `count` rows, shared out evenly.
template <class Body>
ELMAN_INLINE inline void each_tile(int64_t count, int64_t tallest, Body body) {
  const int64_t tiles = count <= tallest ? 1 : (count + tallest - 1) / tallest;  // division is slow
  const int64_t least = tiles == 1 ? count : count / tiles, longer = count - tiles * least;
  for (int64_t k = 0, i = 0; i < count; ++k) {
    const int n = static_cast<int>(least + (k < longer));
    body(i, n);
    i += n;
  }
}

// Told from the whole batch, so that it does not depend on how rows are shared out.
constexpr Cut cut_for(int64_t N) { return N == 1 ? kOneRow : N <= 3 ? kFewRows : kManyRows; }

// One that panels of so many vectors can be multiplied by.
constexpr Cut cut_of(int widest) {
  return widest == kManyRows.widest ? kManyRows : widest == kFewRows.widest ? kFewRows : kOneRow;
}

// W, K rows and H columns, in panels.
template <class T>
class Panels {
 public:
  Panels(int64_t K, int64_t H, int widest, bool empty = false) : K_(K), H_(H), widest_(widest) {
    const int64_t vectors = (H + kLanes<T> - 1) / kLanes<T>;
    count_ = (vectors + widest - 1) / widest;
    narrow_ = count_ == 0 ? 0 : vectors / count_;
    wide_count_ = vectors - narrow_ * count_;  // the first ones are a vector wider
    memory_ = buffer<T>(empty ? 0 : K * vectors * kLanes<T>);
  }

  bool ok() const { return memory_ != nullptr; }
  int widest() const { return widest_; }
  int64_t count() const { return count_; }
  int64_t K() const { return K_; }
  int64_t H() const { return H_; }
  int width(int64_t panel) const { return static_cast<int>(narrow_ + (panel < wide_count_)); }
  int64_t first_column(int64_t panel) const {
    return (panel * narrow_ + std::min(panel, wide_count_)) * kLanes<T>;
  }
  const T* data(int64_t panel) const { return memory_.get() + first_column(panel) * K_; }

  // From here on K rows, no more than at first.
  void resize(int64_t K) { K_ = K; }

  void fill(const Matrix<T>& w, int64_t panel) { fill(w, panel, panel); }
  // In the place of another one, which is as wide or wider.
  void fill(const Matrix<T>& w, int64_t panel, int64_t place) {
    const int64_t columns = width(panel) * kLanes<T>, first = first_column(panel);
    const int64_t real = std::min(columns, H_ - first);
    T* to = memory_.get() + first_column(place) * K_;
    const T* from = w.data + first * w.column;
    if (w.column == 1)
      return fill_lines([&](int64_t k) { return w.data + k * w.row; }, panel, place);
    for (int64_t j = 0; j < columns; j += kLanes<T>)
      fill_columns(from + j * w.column, w, std::min<int64_t>(kLanes<T>, real - j), to + j, columns);
  }

  // A vector's columns of every row of W, of which n are there: to + k * apart for row k.
  void fill_columns(const T* from, const Matrix<T>& w, int64_t n, T* to, int64_t apart) {
    int64_t k = 0;
#if defined(ELMAN_SHUFFLES)
    if (w.row == 1 && n == kLanes<T>)
      for (; k + kLanes<T> <= K_; k += kLanes<T>) {
        Vec<T> block[kLanes<T>];
#pragma GCC unroll 16
        for (int j = 0; j < kLanes<T>; ++j) block[j] = load(from + j * w.column + k);
        transpose<T>(block);
#pragma GCC unroll 16
        for (int i = 0; i < kLanes<T>; ++i) store(to + (k + i) * apart, block[i]);
      }
#endif
    constexpr int64_t kAtATime = 16;  // of rows of W: what is read stays in cache until used up
    for (; k < K_; k += kAtATime)
      for (int64_t j = 0; j < kLanes<T>; ++j)
        for (int64_t i = k; i < std::min(K_, k + kAtATime); ++i)
          to[i * apart + j] = j < n ? from[j * w.column + i * w.row] : T(0);
  }

  // The same where row k begins at line(k).
  template <class Line>
  void fill_lines(Line line, int64_t panel) {
    fill_lines(line, panel, panel);
  }
  template <class Line>
  void fill_lines(Line line, int64_t panel, int64_t place) {
    const int64_t columns = width(panel) * kLanes<T>, first = first_column(panel);
    const int64_t real = std::min(columns, H_ - first);
    T* to = memory_.get() + first_column(place) * K_;
    constexpr int64_t kAhead = 16;  // lines may lie far apart: each is asked for before its turn
    for (int64_t k = 0; k < K_; ++k, to += columns) {
      if (k + kAhead < K_) fetch_row<0>(line(k + kAhead), first, first + real);
      const T* from = line(k) + first;
      int64_t j = 0;
      for (; j + kLanes<T> <= real; j += kLanes<T>) store(to + j, load(from + j));
      if (j < columns) store(to + j, j < real ? load(from + j, real - j) : Vec<T>{});
    }
  }

 private:
  int64_t K_, H_;
  int widest_;
  int64_t count_, narrow_, wide_count_;
  Buffer<T> memory_;
};

// What a tile's sums have of one product, rows (R, K) × panel (K, width): the numbers of a row lie
// side by side and rows `apart`; or, kAcross, the rows side by side and a row's numbers `apart`.
template <class T>
struct Term {
  const T* rows;
  int64_t apart;
  const T* panel;
  int64_t K;
};

// sums (R, width) = first + second
template <class T, int R, int V, int C, bool kAcross>
void tile(const Term<T>& first, const Term<T>& second, T* sums) {
  constexpr int lanes = kLanes<T>;
  Vec<T> s[C][R][V] = {};
  const auto add = [&](const Term<T>& term) ELMAN_INLINE {
    const T *rows = term.rows, *panel = term.panel;
    const int64_t row = kAcross ? 1 : term.apart, along = kAcross ? term.apart : 1;
    const auto multiply = [&](Vec<T>(&to)[R][V]) ELMAN_INLINE {
      Vec<T> line[V];
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) {
        line[v] = load(panel + v * lanes);
        if constexpr (R > 1) in_register(line[v]);  // read once, not for every row
      }
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const Vec<T> factor = all(rows[r * row]);
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) to[r][v] += factor * line[v];
      }
      panel += V * lanes;
      rows += along;
    };
    const T* const end = panel + term.K * V * lanes;
    if constexpr (C == 1) {
#pragma GCC unroll 4
      while (panel != end) multiply(s[0]);
    } else {
      const T* const whole = panel + term.K / C * C * V * lanes;
      while (panel != whole)
#pragma GCC unroll 4
        for (int c = 0; c < C; ++c) multiply(s[c]);
      while (panel != end) multiply(s[0]);
    }
  };
  add(first);
  add(second);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
#pragma GCC unroll 4
      for (int c = 1; c < C; ++c) s[0][r][v] += s[c][r][v];
      store(sums + (r * V + v) * lanes, s[0][r][v]);
    }
}

// The same for few rows in all, where W is not worth bringing into panels: W's columns lie
// `apart`, each with its numbers side by side, and a sum is a vector's until its end.
template <class T, int R>
void tile_by_columns(const T* rows, int64_t stride, const T* W, int64_t apart, int columns,
                     int64_t K, T* sums, int width, bool add) {
  constexpr int J = 4;  // columns at a time
  for (int j = 0; j < width; j += J) {
    Vec<T> s[R][J] = {};
    const T* column[J];
    const int here = std::min(J, width - j);
    for (int i = 0; i < J; ++i) column[i] = W + std::min(j + i, columns - 1) * apart;
    vectors<T>(0, K, [&](int64_t k, int64_t n) ELMAN_INLINE {
      Vec<T> w[J];
#pragma GCC unroll 4
      for (int i = 0; i < J; ++i) w[i] = load(column[i] + k, n);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        const Vec<T> x = load(rows + r * stride + k, n);
#pragma GCC unroll 4
        for (int i = 0; i < J; ++i) s[r][i] += x * w[i];
      }
    });
    for (int r = 0; r < R; ++r)
      for (int i = 0; i < here; ++i) {
        T& sum = sums[r * width + j + i];
        const T more = j + i < columns ? sum_of<T>(s[r][i]) : T(0);
        sum = add ? sum + more : more;
      }
  }
}

// The columns of one panel of W, from where W lies: rows (n, K) × W, added to sums or not.
template <class T>
void multiply_by_columns(const T* rows, int64_t stride, int n, const Panels<T>& panels,
                         const Matrix<T>& W, int64_t panel, T* sums, bool add) {
  const int width = panels.width(panel) * kLanes<T>;
  const int64_t first = panels.first_column(panel);
  const int columns = static_cast<int>(std::min<int64_t>(width, panels.H() - first));
  for (int r = 0; r < n; r += 4) {
    const auto multiply = n - r >= 4   ? tile_by_columns<T, 4>
                          : n - r == 3 ? tile_by_columns<T, 3>
                          : n - r == 2 ? tile_by_columns<T, 2>
                                       : tile_by_columns<T, 1>;
    multiply(rows + r * stride, stride, W.data + first * W.column, W.column, columns, panels.K(),
             sums + r * width, width, add);
  }
}

// Whether so many rows in all are too few for W to be worth bringing into panels.
template <class T>
bool too_few(int64_t rows, const Matrix<T>& W, int64_t K) {
  return W.row == 1 && rows <= std::max<int64_t>(3, K / 64);
}

template <class T>
using Tile = void (*)(const Term<T>&, const Term<T>&, T*);

// The tiles of every height and width of a cut.
template <class T>
struct Tiles {
  Tile<T> of[8][8];  // null beyond the cut's
};
template <class T, const Cut& cut, bool kAcross, int R, int V>
constexpr Tile<T> tile_of() {
  if constexpr (R <= cut.tallest(V)) return tile<T, R, V, cut.chains(V), kAcross>;
  return nullptr;
}
template <class T, const Cut& cut, bool kAcross, int R, int... V>
constexpr void tiles_of_height(Tiles<T>& to, std::integer_sequence<int, V...>) {
  ((to.of[R][V] = tile_of<T, cut, kAcross, R + 1, V + 1>()), ...);
}
template <class T, const Cut& cut, bool kAcross, int... R>
constexpr Tiles<T> tiles_of(std::integer_sequence<int, R...>) {
  Tiles<T> to{};
  (tiles_of_height<T, cut, kAcross, R>(to, std::make_integer_sequence<int, cut.widest>{}), ...);
  return to;
}
template <class T, const Cut& cut, bool kAcross = false>
constexpr Tiles<T> kTiles = tiles_of<T, cut, kAcross>(std::make_integer_sequence<int, cut.most>{});

template <class T>
inline Tile<T> tile_for(const Cut& cut, int64_t rows, int width) {
  const Tiles<T>& tiles = cut.most == kOneRow.most    ? kTiles<T, kOneRow>
                          : cut.most == kFewRows.most ? kTiles<T, kFewRows>
                                                      : kTiles<T, kManyRows>;
  return tiles.of[rows - 1][width - 1];
}

}  // namespace
}  // namespace elman
