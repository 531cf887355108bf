// f(z), and its slope told from f(z), on vectors.
//
// The three that nearly every network has are types of their own, compiled into the loops. The
// others, and any with z held within a bound, are one type that asks which it is as it runs.
#pragma once

#include <limits>

#include "scan.h"
#include "simd.h"

namespace elman {
namespace {

// exp(2x) = 2ⁿ (1 + 2s), where 2x is n ln 2 + 2r with |r| <= ln 2 / 4 and s = (exp(2r) - 1) / 2.
template <class T>
struct Exponential {
  Vec<T> power, s;  // 2ⁿ, and s

  // exp(2x) - 1 is 2m, and m loses nothing near zero.
  Vec<T> m() const { return power * s + (power * T(0.5) - T(0.5)); }
  Vec<T> value() const { return power * (s + s + T(1)); }
};

template <class T, int kMantissa>
inline Vec<T> power_of_two(Vec<T> shifted) {
  Bits<T> exponent;
  std::memcpy(&exponent, &shifted, sizeof exponent);
  exponent <<= kMantissa;  // n and the exponent's bias lie in the lowest bits of `shifted`
  Vec<T> power;
  std::memcpy(&power, &exponent, sizeof power);
  return power;
}

// s = r + r² C(r), C of the least greatest error, 2⁻²⁶ of s. For |x| up to 44.
template <bool kFar = true>
inline Exponential<float> exp_2x(Vec<float> x) {
  constexpr float kRound = 12582912.0f + 127;  // adding 1.5·2²³ rounds to an integer
  const Vec<float> shifted = x * 2.88539008f + kRound;
  const Vec<float> n = shifted - kRound;
  // far from zero ln 2 is needed in two pieces
  const Vec<float> r = kFar ? (x - n * 0.3466796875f) - n * -1.06097220e-4f : x - n * 0.346573590f;
  Vec<float> c = r * 0.0444240318f + 0.133865286f;
  c = c * r + 0.333337614f;
  c = c * r + 0.666661727f;
  c = c * r + 0.999999963f;
  return {power_of_two<float, 23>(shifted), r * r * c + r};
}

// The same with the series of s to r¹³, the rest below 2⁻⁵⁶ of it. For |x| up to 354.
template <bool = true>
inline Exponential<double> exp_2x(Vec<double> x) {
  constexpr double kRound = 6755399441055744.0 + 1023;  // 1.5·2⁵²
  const Vec<double> shifted = x * 2.8853900817779268 + kRound;
  const Vec<double> n = shifted - kRound;
  const Vec<double> r = (x - n * 0.3465735901845619) - n * 9.5410746146463525e-11;
  Vec<double> c = r * 6.577784355562133e-07 + 4.275559831115387e-06;
  c = c * r + 2.565335898669232e-05;
  c = c * r + 0.00014109347442680775;
  c = c * r + 0.0007054673721340388;
  c = c * r + 0.0031746031746031746;
  c = c * r + 0.012698412698412698;
  c = c * r + 0.044444444444444446;
  c = c * r + 0.13333333333333333;
  c = c * r + 0.3333333333333333;
  c = c * r + 0.6666666666666666;
  c = c * r + 1.0;
  return {power_of_two<double, 52>(shifted), r * r * c + r};
}

// tanh x = m / (m + 1). Beyond ±9.02 (±20 in double) it rounds to one.
template <class T>
ELMAN_INLINE inline Vec<T> tanh_of(Vec<T> x) {
  const Vec<T> m = exp_2x<false>(clamped<T>(x, sizeof(T) == 4 ? T(9.02) : T(20))).m();
  return m / (m + T(1));
}

template <class T>
inline Exponential<T> exponential(Vec<T> x) {
  return exp_2x(clamped<T>(x * T(0.5), sizeof(T) == 4 ? T(44) : T(354)));
}

// log(1 + u) for u in [0, 1] is 2 artanh w with w = u / (2 + u), at most a third.
template <class T>
inline Vec<T> log_of_one_and(Vec<T> u) {
  const Vec<T> w = u / (u + T(2)), square = w * w;
  constexpr int terms = sizeof(T) == 4 ? 8 : 17;
  Vec<T> series = all<T>(T(1) / (2 * terms - 1));
#pragma GCC unroll 16
  for (int k = terms - 2; k >= 0; --k) series = series * square + T(1) / (2 * k + 1);
  return T(2) * w * series;
}

struct Tanh {
  static constexpr Nonlinearity kF = Nonlinearity::tanh;
  explicit Tanh(const Activation&) {}
  template <class T>
  ELMAN_INLINE static Vec<T> value(Vec<T> z) {
    return tanh_of<T>(z);
  }
  // g f'(z), told from y = f(z)
  template <class T>
  ELMAN_INLINE static Vec<T> back(Vec<T> y, Vec<T> g) {
    return g * (1 - y * y);
  }
};

struct Relu {
  static constexpr Nonlinearity kF = Nonlinearity::relu;
  explicit Relu(const Activation&) {}
  template <class T>
  ELMAN_INLINE static Vec<T> value(Vec<T> z) {
    const Vec<T> zero{};
    return z <= zero ? zero : z;
  }
  template <class T>
  ELMAN_INLINE static Vec<T> back(Vec<T> y, Vec<T> g) {
    const Vec<T> zero{};
    return y <= zero ? zero : g;
  }
};

struct Identity {
  static constexpr Nonlinearity kF = Nonlinearity::identity;
  explicit Identity(const Activation&) {}
  template <class T>
  ELMAN_INLINE static Vec<T> value(Vec<T> z) {
    return z;
  }
  template <class T>
  static Vec<T> back(Vec<T>, Vec<T> g) {
    return g;
  }
};

// Any of them. Where z is held within ±bound the slope is zero at both ends: f never falls, so that
// y tells where z is.
template <class T>
class Any {
 public:
  explicit Any(const Activation& which)
      : f_(which.f), bound_(static_cast<T>(which.bound)), low_{}, high_{} {
    if (bound_ <= 0) return;
    const Vec<T> low = free(all<T>(-bound_)), high = free(all<T>(bound_)), zero{};
    constexpr T near = 4 * std::numeric_limits<T>::epsilon();  // where y was rounded otherwise
    low_ = low + near * (low < zero ? -low : low);
    high_ = high - near * (high < zero ? -high : high);
  }

  template <class>
  Vec<T> value(Vec<T> z) const {
    return free(bound_ > 0 ? clamped<T>(z, bound_) : z);
  }

  template <class>
  Vec<T> back(Vec<T> y, Vec<T> g) const {
    const Vec<T> zero{}, through = free_back(y, g);
    if (bound_ <= 0) return through;
    return y <= low_ ? zero : y >= high_ ? zero : through;
  }

 private:
  static constexpr T kLeak = T(0.01);                                // of leaky_relu
  static constexpr T kScale = T(1.0507009873554804934193349852946);  // of selu
  static constexpr T kAlpha = T(1.6732632423543772848170429916717);

  Vec<T> free(Vec<T> z) const {
    const Vec<T> zero{};
    const Vec<T> size = z < zero ? -z : z;
    switch (f_) {
      case Nonlinearity::tanh:
        return tanh_of<T>(z);
      case Nonlinearity::relu:
        return z <= zero ? zero : z;
      case Nonlinearity::sigmoid:
        return T(1) / (exponential<T>(-z).value() + T(1));
      case Nonlinearity::hardtanh:
        return clamped<T>(z, T(1));
      case Nonlinearity::hardsigmoid:
        return (clamped<T>(z, T(3)) + T(3)) / T(6);
      case Nonlinearity::leaky_relu:
        return z > zero ? z : z * kLeak;
      case Nonlinearity::elu:
        return z > zero ? z : T(2) * exponential<T>(z).m();
      case Nonlinearity::selu:
        return z > zero ? z * kScale : (kScale * kAlpha * T(2)) * exponential<T>(z).m();
      case Nonlinearity::softsign:
        return z / (size + T(1));
      case Nonlinearity::softplus:
        return (z <= zero ? zero : z) + log_of_one_and<T>(exponential<T>(-size).value());
      default:
        return z;
    }
  }

  Vec<T> free_back(Vec<T> y, Vec<T> g) const {
    const Vec<T> zero{}, one = all<T>(1);
    switch (f_) {
      case Nonlinearity::tanh:
        return g * (1 - y * y);
      case Nonlinearity::relu:
        return y <= zero ? zero : g;
      case Nonlinearity::sigmoid:
        return g * (y - y * y);
      case Nonlinearity::hardtanh:
        return y <= -one ? zero : y >= one ? zero : g;
      case Nonlinearity::hardsigmoid:
        return y <= zero ? zero : y >= one ? zero : g / T(6);
      case Nonlinearity::leaky_relu:
        return y > zero ? g : g * kLeak;
      case Nonlinearity::elu:
        return y > zero ? g : g * (y + T(1));
      case Nonlinearity::selu:
        return y > zero ? g * kScale : g * (y + kScale * kAlpha);
      case Nonlinearity::softsign: {
        const Vec<T> rest = one - (y < zero ? -y : y);
        return g * rest * rest;
      }
      case Nonlinearity::softplus:
        return g * (T(-2) * exponential<T>(-y).m());
      default:
        return g;
    }
  }

  const Nonlinearity f_;
  const T bound_;
  Vec<T> low_, high_;
};

}  // namespace
}  // namespace elman
