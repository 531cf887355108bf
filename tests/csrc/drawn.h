// What a random problem is made of: sizes, numbers anywhere in memory, and what should come out.
//
// All memory is on the heap at its exact size, and NaN until it is written.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "../../csrc/scan.h"

namespace elman {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
std::string problem;  // what is being tried, in words

[[noreturn]] void fail(const std::string& how) {
  std::printf("%s: %s\n", problem.c_str(), how.c_str());
  std::exit(1);
}

class Random {
 public:
  Random(uint64_t seed, uint64_t round) {
    std::seed_seq both{seed, round};
    engine_.seed(both);
  }
  int64_t from_to(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(engine_() % static_cast<uint64_t>(high - low + 1));
  }
  bool chance(int percent) { return from_to(1, 100) <= percent; }
  double within(double bound) {
    return bound * (std::ldexp(static_cast<double>(engine_() >> 11), -52) - 1);
  }

 private:
  std::mt19937_64 engine_;
};

// --- where numbers lie -----------------------------------------------------------------------

struct Steps {
  int64_t L, N;
  bool packed = false;
  std::vector<int64_t> sizes, starts;

  int64_t live(int64_t t) const { return packed ? sizes[t] : N; }
  int64_t length(int64_t r) const {
    int64_t steps = 0;
    while (steps < L && live(steps) > r) ++steps;
    return steps;
  }
  Time time() const { return {L, N, packed ? sizes.data() : nullptr}; }
  // Packs rows of random lengths: some without a step, some steps maybe without a row.
  void pack(Random& random) {
    const int64_t longest = random.chance(50) ? L : random.from_to(0, L);
    std::vector<int64_t> lengths(N);
    for (int64_t& n : lengths) n = random.chance(20) ? longest : random.from_to(0, longest);
    packed = true;
    for (int64_t t = 0, rows = 0; t < L; ++t) {
      const auto longer = [t](int64_t n) { return n > t; };
      sizes.push_back(std::count_if(lengths.begin(), lengths.end(), longer));
      starts.push_back(rows);
      rows += sizes.back();
    }
    sizes.shrink_to_fit();  // so that reading past the end is seen
    starts.shrink_to_fit();
  }
};

struct Place {
  int64_t step, row;
  const int64_t* starts;
  int64_t size;

  int64_t at(int64_t t, int64_t r, int64_t j) const {
    return (starts == nullptr ? t : starts[t]) * step + r * row + j;
  }
  void measure(const Steps& steps, int64_t width) {
    size = 0;
    for (int64_t t = 0; t < steps.L; ++t)
      if (steps.live(t) > 0) size = std::max(size, at(t, steps.live(t) - 1, width));
  }
};

// Any strides a tensor may have whose rows are `width` numbers side by side. `expanded`, rows or
// steps lie on each other, as expand() makes them of what is only read.
Place draw_place(Random& random, const Steps& steps, int64_t width, bool expanded) {
  const auto gap = [&] { return random.chance(60) ? 0 : random.from_to(1, 5); };
  Place to{0, width + gap(), steps.packed ? steps.starts.data() : nullptr, 0};
  if (steps.packed) {
    to.step = to.row = expanded ? 0 : to.row;
  } else {
    to.step = steps.N * to.row + gap();
    if (random.chance(40)) {  // batch first
      to.step = width + gap();
      to.row = steps.L * to.step + gap();
    }
    if (steps.N == 1 && random.chance(20)) to.row = random.from_to(0, 9);
    if (steps.L == 1 && random.chance(20)) to.step = random.from_to(0, 9);
    if (expanded && random.chance(70)) to.row = 0;
    if (expanded && random.chance(70)) to.step = 0;
  }
  to.measure(steps, width);
  return to;
}

// Numbers as a tensor has them: a sequence; a matrix, whose row k and column j are step and row;
// or the rows of a single step. Absent without memory.
template <class T>
struct Numbers {
  Place place{};
  int64_t shift = 0;
  std::shared_ptr<T[]> memory;

  Numbers() = default;
  explicit Numbers(Place p) : place(p), memory(new T[p.size]) {
    std::fill(memory.get(), memory.get() + p.size, T(kNaN));
  }
  int64_t at(int64_t t, int64_t r, int64_t j) const { return place.at(t, r, j) + shift; }
  double operator()(int64_t t, int64_t r, int64_t j = 0) const { return memory[at(t, r, j)]; }
  bool here() const { return memory != nullptr; }
  const T* data() const { return !here() || place.size == 0 ? nullptr : memory.get() + shift; }
  Sequence<const T> sequence() const { return {data(), place.step, place.row, place.starts}; }
  Matrix<T> matrix() const { return {data(), place.step, place.row}; }
  Lines<const T> lines() const { return {data(), place.row}; }
};

// --- a problem -------------------------------------------------------------------------------

constexpr double kScale = 1.0507009873554804934193349852946;  // of selu
constexpr double kAlpha = 1.6732632423543772848170429916717;

// f(z), of z held within ±bound.
inline double value(const Activation& which, double z) {
  if (which.bound > 0) z = std::clamp(z, -which.bound, which.bound);
  switch (which.f) {
    case Nonlinearity::tanh:
      return std::tanh(z);
    case Nonlinearity::relu:
      return std::max(0.0, z);
    case Nonlinearity::sigmoid:
      return 1 / (1 + std::exp(-z));
    case Nonlinearity::hardtanh:
      return std::clamp(z, -1.0, 1.0);
    case Nonlinearity::hardsigmoid:
      return std::clamp(z / 6 + 0.5, 0.0, 1.0);
    case Nonlinearity::leaky_relu:
      return z > 0 ? z : 0.01 * z;
    case Nonlinearity::elu:
      return z > 0 ? z : std::expm1(z);
    case Nonlinearity::selu:
      return kScale * (z > 0 ? z : kAlpha * std::expm1(z));
    case Nonlinearity::softsign:
      return z / (1 + std::abs(z));
    case Nonlinearity::softplus:
      return std::log1p(std::exp(z));
    default:
      return z;
  }
}

// f'(z); at an end or a corner, as torch has it.
inline double slope(const Activation& which, double z) {
  if (which.bound > 0 && std::abs(z) >= which.bound) return 0;
  const double y = value({which.f, 0}, z);
  switch (which.f) {
    case Nonlinearity::tanh:
      return 1 - y * y;
    case Nonlinearity::relu:
      return z > 0;
    case Nonlinearity::sigmoid:
      return y * (1 - y);
    case Nonlinearity::hardtanh:
      return std::abs(z) < 1;
    case Nonlinearity::hardsigmoid:
      return std::abs(z) < 3 ? 1.0 / 6 : 0;
    case Nonlinearity::leaky_relu:
      return z > 0 ? 1 : 0.01;
    case Nonlinearity::elu:
      return z > 0 ? 1 : std::exp(z);
    case Nonlinearity::selu:
      return kScale * (z > 0 ? 1 : kAlpha * std::exp(z));
    case Nonlinearity::softsign:
      return 1 / ((1 + std::abs(z)) * (1 + std::abs(z)));
    case Nonlinearity::softplus:
      return 1 / (1 + std::exp(-z));
    default:
      return 1;
  }
}

// A z that is not so near a corner or an end of f that rounding takes it to the other side.
inline double off_corners(const Activation& which, double z) {
  for (const double corner : {0.0, 1.0, 3.0, which.bound})
    if (std::abs(std::abs(z) - corner) < 1e-3) return std::copysign(corner, z);
  return z;
}

// What comes out somewhere: what is there before, and what should be after. NaN: left alone.
template <class T>
struct Result {
  std::string name;
  Numbers<T> start;
  std::vector<double> expected, sizes;  // the sums, and those of their terms' sizes
  double tolerance;

  // A sum begins at what is there already, or where it is all overwritten at zero.
  void begin_sum(bool overwritten) {
    for (int64_t i = 0; i < start.place.size; ++i) expected[i] = overwritten ? 0 : start.memory[i];
    sizes.assign(start.place.size, 1);
  }
};

template <class T>
struct Output : Numbers<T> {
  size_t result = 0;
};

template <class T>
using Memory = std::vector<std::unique_ptr<T[]>>;

// A sum and the sum of its terms' sizes, which its error is a part of.
struct Sum {
  double value = 0, size = 0;
  void add(double term) {
    value += term;
    size += std::abs(term);
  }
};

// The gates of every recurrence, each maybe the same at all steps, in all rows or all columns.
template <class T>
struct GatesOf {
  std::vector<Numbers<T>> of_g, of_q, of_e, of_r;
  std::vector<std::array<bool, 4>> single;
  std::vector<std::array<std::shared_ptr<uint8_t[]>, 4>> flags;  // instead of the numbers

  double g(int64_t d, int64_t t, int64_t r, int64_t j) const { return at(of_g, 0, d, t, r, j, 1); }
  double left(int64_t d, int64_t t, int64_t r, int64_t j) const {
    return at(of_r, 3, d, t, r, j, 1);
  }
  double inside(int64_t d, int64_t t, int64_t r, int64_t j) const {
    return at(of_q, 1, d, t, r, j, 1) * left(d, t, r, j);
  }
  double kept(int64_t d, int64_t t, int64_t r, int64_t j) const {
    return at(of_e, 2, d, t, r, j, 1 - g(d, t, r, j)) * left(d, t, r, j);
  }
  bool carry() const { return of_g[0].here() || of_e[0].here(); }
  bool units() const { return of_g[0].here() && !of_e[0].here(); }

  Gates<T> of(int64_t d) const {
    const auto factor = [&](const std::vector<Numbers<T>>& of, int k) {
      const Sequence<const T> s = of[d].sequence();
      const uint8_t* bytes = flags[d][k].get();
      return Factor<T>{bytes == nullptr ? s.data : nullptr, bytes, s.step, s.row, s.starts,
                       single[d][k]};
    };
    return {factor(of_g, 0), factor(of_q, 1), factor(of_e, 2), factor(of_r, 3)};
  }

 private:
  double at(const std::vector<Numbers<T>>& of, int k, int64_t d, int64_t t, int64_t r, int64_t j,
            double absent) const {
    return of[d].here() ? of[d](t, r, single[d][k] ? 0 : j) : absent;
  }
};

template <class T>
struct Case {
  Random& random;
  int64_t H, K, count;
  Steps steps;
  Activation f;
  bool together;  // sequences of both recurrences lie side by side
  bool expanded;  // many inputs are the same numbers over and over
  std::vector<int> reverse;
  std::vector<Result<T>> results;

  explicit Case(Random& r) : random(r) {
    count = random.from_to(1, 2);
    K = random.from_to(1, 40);
    draw_sizes();
    const double most = std::exp(random.within(2)) * 2e6;  // multiplications; the rest is time
    while (static_cast<double>(H * (H + K) * steps.L * steps.N * count) > most) {
      int64_t* const sizes[] = {&H, &steps.L, &steps.N};
      int64_t& size = *sizes[random.from_to(0, 2)];
      size = std::max<int64_t>(1, size * 2 / 3);
    }
    if (random.chance(40)) steps.pack(random);
    // mostly one of the three with loops of their own
    f = {static_cast<Nonlinearity>(random.from_to(0, random.chance(40) ? kNonlinearities - 1 : 2)),
         random.chance(15) ? 0.25 + std::abs(random.within(1)) : 0};
    together = random.chance(50);
    expanded = random.chance(10);
    for (int64_t d = 0; d < count; ++d) reverse.push_back(random.chance(50));
    problem += std::string(sizeof(T) == 4 ? " float" : " double") + " H " + std::to_string(H) +
               " K " + std::to_string(K) + " L " + std::to_string(steps.L) + " N " +
               std::to_string(steps.N) + (steps.packed ? " packed" : "") +
               (together ? " together" : "") + (expanded ? " expanded" : "") + " f " +
               std::to_string(static_cast<int>(f.f)) + " bound " + std::to_string(f.bound);
    for (int backwards : reverse) problem += backwards ? " reverse" : " forward";
  }
  virtual ~Case() = default;

  // Anything; or wide, for threads that share M's columns; or long, for many stretches and groups.
  void draw_sizes() {
    const bool wide = random.chance(15), is_long = !wide && random.chance(15);
    H = wide ? random.from_to(150, 300) : random.from_to(1, is_long ? 12 : 70);
    steps.L = is_long ? random.from_to(150, 700) : random.from_to(0, 40);
    steps.N = wide || random.chance(30) ? random.from_to(0, 4)
                                        : random.from_to(0, random.chance(20) ? 140 : 40);
  }
  virtual Status call(const KernelsOf<T>& kernels, const Memory<T>& to,
                      Parallel parallel) const = 0;

  Steps batch() const { return {1, steps.N, false, {}, {}}; }
  static Steps grid(int64_t rows, int64_t columns) { return {rows, columns, false, {}, {}}; }

  // How far n roundings, each of at most half an ulp of `size`, may lead. They add up like a walk
  // with steps of 1/√12 ulp, and nobody walks as far as eight standard deviations; but the same
  // numbers over and over are rounded the same way, and then all may point one way.
  double walk(double n, double size) const {
    const double ulps = expanded ? n : std::min(n, 8 * std::sqrt(n / 12));
    return ulps * std::numeric_limits<T>::epsilon() * size;
  }
  bool maybe(const char* name, int percent = 60) {
    const bool is = random.chance(percent);
    if (is) problem += std::string(" ") + name;
    return is;
  }
  void fill(Numbers<T>& to, const Steps& over, int64_t width, double bound) {
    for (int64_t t = 0; t < over.L; ++t)
      for (int64_t r = 0; r < over.live(t); ++r)
        for (int64_t j = 0; j < width; ++j) to.memory[to.at(t, r, j)] = T(random.within(bound));
  }
  Numbers<T> draw(const Steps& over, int64_t width, double bound) {
    Numbers<T> made(draw_place(random, over, width, expanded && random.chance(50)));
    fill(made, over, width, bound);
    return made;
  }
  // One for every recurrence, each somewhere else or all side by side.
  std::vector<Numbers<T>> draw_each(const Steps& over, int64_t width, double bound,
                                    bool is = true) {
    std::vector<Numbers<T>> made(count);
    const Numbers<T> all = is && together ? draw(over, width * count, bound) : Numbers<T>();
    for (int64_t d = 0; is && d < count; ++d) {
      made[d] = together ? all : draw(over, width, bound);
      made[d].shift = together ? d * width : 0;
    }
    return made;
  }
  // g from 1/2 to 1, e within 1/4, q and r within 1, or but for e flags: with W within 1/4H nothing
  // grows.
  GatesOf<T> draw_gates() {
    GatesOf<T> made;
    const bool any = maybe("gates", 50);
    made.single.resize(count);
    made.flags.resize(count);
    int k = 0;
    for (auto* of : {&made.of_g, &made.of_q, &made.of_e, &made.of_r}) {
      of->resize(count);
      const bool is = any && maybe(std::string(1, "gqer"[k]).c_str(), 50);
      for (int64_t d = 0; is && d < count; ++d) {
        const bool still = random.chance(25), one_row = random.chance(25);
        Place place = draw_place(random, steps, H, false);
        if (still && !steps.packed) place.step = 0;
        if (one_row && !steps.packed) place.row = 0;
        (*of)[d] = Numbers<T>(place);
        fill((*of)[d], steps, H, k == 2 ? 0.25 : 1);
        made.single[d][k] = random.chance(25);
        for (int64_t i = 0; k == 0 && i < place.size; ++i)
          (*of)[d].memory[i] = T(0.75) + (*of)[d].memory[i] / 4;
        if (k == 2 || place.size == 0 || !maybe("flags", 30)) continue;
        made.flags[d][k].reset(new uint8_t[place.size]);
        for (int64_t i = 0; i < place.size; ++i) {
          made.flags[d][k][i] = random.chance(50);
          (*of)[d].memory[i] = made.flags[d][k][i];
        }
      }
      ++k;
    }
    return made;
  }
  // A place for a result; with a bound, there are numbers already.
  Output<T> result(const char* name, const Steps& over, int64_t width, Place place, double bound) {
    Output<T> made{Numbers<T>(place), results.size()};
    if (bound > 0) fill(made, over, width, bound);
    results.push_back({name, made, std::vector<double>(place.size, kNaN), {}, 0});
    return made;
  }
  std::vector<Output<T>> results_each(const char* name, const Steps& over, int64_t width,
                                      double bound, bool is = true) {
    std::vector<Output<T>> made(count);
    const int64_t all = together ? width * count : width;
    for (int64_t d = 0; is && d < count; ++d) {
      if (d == 0 || !together)
        made[d] = result(name, over, all, draw_place(random, over, all, false), bound);
      else
        made[d] = made[0];
      made[d].shift = together ? d * width : 0;
    }
    return made;
  }
  // Sums of `rows` × `columns` numbers without a gap.
  std::vector<Output<T>> sums_each(const char* name, int64_t rows, int64_t columns, bool is) {
    std::vector<Output<T>> made(count);
    for (int64_t d = 0; is && d < count; ++d) {
      made[d] = result(name, grid(1, rows), columns, {0, columns, nullptr, rows * columns}, 0);
      results.back().begin_sum(true);
    }
    return made;
  }
  double& expect(const Output<T>& o, int64_t t, int64_t r, int64_t j = 0) {
    return results[o.result].expected[o.at(t, r, j)];
  }
  void set_tolerance(const std::vector<Output<T>>& of, double tolerance) {
    for (const Output<T>& o : of)
      if (o.here()) results[o.result].tolerance = tolerance;
  }
  static T* place_in(const Memory<T>& to, const Output<T>& o) {
    return o.data() == nullptr ? nullptr : to[o.result].get() + o.shift;
  }
  static Sequence<T> sequence_in(const Memory<T>& to, const Output<T>& o) {
    return {place_in(to, o), o.place.step, o.place.row, o.place.starts};
  }
};

}  // namespace
}  // namespace elman
