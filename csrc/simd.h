// Vectors of the instruction set this file is compiled for.
//
// Arithmetic is that of the compiler's own vector types, so one source serves every machine;
// a × b + c becomes one fused operation where there is one. Only loading part of a vector and
// keeping NaN through min and max need the machine's own words.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define ELMAN_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define ELMAN_VECTOR_BYTES 32
#else
#define ELMAN_VECTOR_BYTES 16
#endif

// For what is called in a loop over vectors: there a call costs more than what it does, and a body
// that is called for whole vectors and for the last one has a constant n in the first.
#define ELMAN_INLINE __attribute__((always_inline))

namespace elman {
namespace {

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kRegisters = 32;
#else
constexpr int kRegisters = 16;
#endif

template <class T>
struct VectorOf;
template <>
struct VectorOf<float> {
  typedef float type __attribute__((vector_size(ELMAN_VECTOR_BYTES)));
  typedef int32_t bits __attribute__((vector_size(ELMAN_VECTOR_BYTES)));
};
template <>
struct VectorOf<double> {
  typedef double type __attribute__((vector_size(ELMAN_VECTOR_BYTES)));
  typedef int64_t bits __attribute__((vector_size(ELMAN_VECTOR_BYTES)));
};
template <class T>
using Vec = typename VectorOf<T>::type;
template <class T>
using Bits = typename VectorOf<T>::bits;
template <class T>
constexpr int kLanes = ELMAN_VECTOR_BYTES / sizeof(T);

// --- memory --------------------------------------------------------------------------------

template <class T>
inline Vec<T> load(const T* p) {
  Vec<T> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template <class T>
inline void store(T* p, Vec<T> v) {
  std::memcpy(p, &v, sizeof v);
}

#if defined(__AVX2__) && !defined(__AVX512F__)
// All bits set in the first n lanes.
template <class T>
inline Bits<T> first_lanes(int64_t n) {
  Bits<T> lane;
  for (int i = 0; i < kLanes<T>; ++i) lane[i] = i;
  return lane < Bits<T>{} + static_cast<decltype(lane[0] + 0)>(n);
}
#endif

// The first n of a vector's numbers, 0 < n <= kLanes; the rest are zero, or are left alone.
template <class T>
inline Vec<T> load(const T* p, int64_t n) {
  if (n == kLanes<T>) return load(p);
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
  else
    return (Vec<T>)_mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << n) - 1), p);
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm256_maskload_ps(p, (__m256i)first_lanes<T>(n));
  else
    return (Vec<T>)_mm256_maskload_pd(p, (__m256i)first_lanes<T>(n));
#else
  Vec<T> v{};
  for (int64_t i = 0; i < n; ++i) v[i] = p[i];
  return v;
#endif
}

template <class T>
inline void store(T* p, Vec<T> v, int64_t n) {
  if (n == kLanes<T>) return store(p, v);
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), (__m512)v);
  else
    _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << n) - 1), (__m512d)v);
#else
  for (int64_t i = 0; i < n; ++i) p[i] = v[i];
#endif
}

// body(j, n) for every vector of the columns begin to end: n numbers from column j on.
template <class T, class Body>
ELMAN_INLINE inline void vectors(int64_t begin, int64_t end, Body body) {
  int64_t j = begin;
  for (; j + kLanes<T> <= end; j += kLanes<T>) body(j, int64_t{kLanes<T>});
  if (j < end) body(j, end - j);
}

// Flags of a byte, each zero or one, as numbers.
template <class T>
inline Vec<T> load_flags(const uint8_t* p) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm512_cvtepi32_ps(
        _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  else
    return (Vec<T>)_mm512_cvtepi32_pd(
        _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm256_cvtepi32_ps(
        _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
  int32_t four;
  std::memcpy(&four, p, sizeof four);
  return (Vec<T>)_mm256_cvtepi32_pd(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(four)));
#else
  Vec<T> v{};
  for (int64_t i = 0; i < kLanes<T>; ++i) v[i] = p[i];
  return v;
#endif
}

// The first n of them.
template <class T>
inline Vec<T> load_flags(const uint8_t* p, int64_t n) {
  if (n == kLanes<T>) return load_flags<T>(p);
  uint8_t some[kLanes<T>] = {};
  std::memcpy(some, p, n);
  return load_flags<T>(some);
}

template <class T>
inline Vec<T> all(T x) {
  return x - Vec<T>{};
}  // x - 0 is x, also for -0

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define ELMAN_SHUFFLES
#endif
#endif

#if defined(ELMAN_SHUFFLES)
// Of two rows D apart, the numbers whose place in the row has no D in it come first, the others
// second: the step from blocks of D to blocks of 2D in a transposition.
template <class T, int D, int... I>
inline void exchange(Vec<T>& a, Vec<T>& b, std::integer_sequence<int, I...>) {
  constexpr int n = sizeof...(I);
  const Vec<T> first = __builtin_shufflevector(a, b, ((I & D) == 0 ? I : I - D + n)...);
  b = __builtin_shufflevector(a, b, ((I & D) == 0 ? I + D : I + n)...);
  a = first;
}

// Turns kLanes rows of kLanes numbers into columns.
template <class T, int D = 1>
inline void transpose(Vec<T> (&rows)[kLanes<T>]) {
  if constexpr (D < kLanes<T>) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes<T>; ++i)
      if ((i & D) == 0)
        exchange<T, D>(rows[i], rows[i + D], std::make_integer_sequence<int, kLanes<T>>{});
    transpose<T, 2 * D>(rows);
  }
}
#endif

template <class T>
inline T sum_of(Vec<T> v) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return _mm512_reduce_add_ps((__m512)v);
  else
    return _mm512_reduce_add_pd((__m512d)v);
#else
  T parts[kLanes<T>];
  store(parts, v);
  for (int n = kLanes<T> / 2; n > 0; n /= 2)
    for (int i = 0; i < n; ++i) parts[i] += parts[i + n];
  return parts[0];
#endif
}

// Keeps the compiler from reading v from memory again where it is used.
template <class V>
inline void in_register(V& v) {
#if defined(__x86_64__)
  __asm__("" : "+v"(v));
#elif defined(__aarch64__)
  __asm__("" : "+w"(v));
#endif
}

// x within ±bound; a NaN stays a NaN, which x86's min and max keep in their second operand
template <class T>
inline Vec<T> clamped(Vec<T> x, T bound) {
  const Vec<T> high = all<T>(bound), low = all<T>(-bound);
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm512_max_ps((__m512)low, _mm512_min_ps((__m512)high, (__m512)x));
  else
    return (Vec<T>)_mm512_max_pd((__m512d)low, _mm512_min_pd((__m512d)high, (__m512d)x));
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm256_max_ps((__m256)low, _mm256_min_ps((__m256)high, (__m256)x));
  else
    return (Vec<T>)_mm256_max_pd((__m256d)low, _mm256_min_pd((__m256d)high, (__m256d)x));
#else
  x = x > high ? high : x;
  return x < low ? low : x;
#endif
}

// While it lives, numbers too small for a full significand are zero on this thread: the
// machine takes a hundred times longer over them, and a gradient that vanishes is made of them.
class NoSubnormals {
 public:
  NoSubnormals() : before_(get()) { set(before_ | kFlush); }
  ~NoSubnormals() { set(before_); }
  NoSubnormals(const NoSubnormals&) = delete;
  NoSubnormals& operator=(const NoSubnormals&) = delete;

 private:
#if defined(__x86_64__)
  using Word = unsigned;
  static constexpr Word kFlush = 0x8040;  // of results, and of operands
  static Word get() { return _mm_getcsr(); }
  static void set(Word w) { _mm_setcsr(w); }
#elif defined(__aarch64__)
  using Word = uint64_t;
  static constexpr Word kFlush = 1u << 24;
  static Word get() {
    Word w;
    __asm__ volatile("mrs %0, fpcr" : "=r"(w));
    return w;
  }
  static void set(Word w) { __asm__ volatile("msr fpcr, %0" : : "r"(w)); }
#else
  using Word = int;
  static constexpr Word kFlush = 0;
  static Word get() { return 0; }
  static void set(Word) {}
#endif
  Word before_;
};

}  // namespace
}  // namespace elman
