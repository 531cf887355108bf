// The numbers that a kernel reads and writes: DTYPE 0 is float32, 1 bfloat16, 2 float16.

constexpr bool WIDE = DTYPE == 0;

template <bool>
struct Bits {
  using Type = unsigned short;
};
template <>
struct Bits<true> {
  using Type = float;
};
using Number = Bits<WIDE>::Type;

__device__ inline Number rounded(float z) {
  if constexpr (DTYPE == 0)
    return z;
  else if constexpr (DTYPE == 1)
    return to_bfloat16(z);
  else
    return to_float16(z);
}

__device__ inline float widened(Number z) {
  if constexpr (DTYPE == 0)
    return z;
  else if constexpr (DTYPE == 1)
    return from_bfloat16(z);
  else
    return from_float16(z);
}
