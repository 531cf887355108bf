// f and its slope, as src/elman/ops/activations.py has them: numbered alike.

enum Function {
  TANH,
  RELU,
  IDENTITY,
  SIGMOID,
  HARDTANH,
  HARDSIGMOID,
  LEAKY_RELU,
  ELU,
  SELU,
  SOFTSIGN,
  SOFTPLUS
};

/** z within low and high; NaN stays NaN. */
__device__ inline float held(float z, float low, float high) {
  return z < low ? low : z > high ? high : z;
}

/** tanh z = 1 - 2 / (exp(2|z|) + 1), or a polynomial where that would lose digits; no branch. */
__device__ inline float tanh_of(float z) {
  const float far = fabsf(z), w = z * z;
  float c = -0.00627261f * w + 0.02107025f;  // of the least greatest error for |z| up to 0.55
  c = c * w - 0.05385187f;
  c = c * w + 0.1333258f;
  c = c * w - 0.33333317f;
  const float near = z + z * (w * c);
  const float size = 1 - 2 * one_over(power_of_two(2.8853900817779268f * far) + 1);
  return far < 0.55f ? near : copysignf(size, z);
}

constexpr float kScale = 1.0507009873554804934f, kAlpha = 1.6732632423543772848f;  // of selu

/** f(z). */
template <int F>
__device__ inline float activated(float z) {
  if constexpr (F == TANH) return tanh_of(z);
  if constexpr (F == RELU) return z <= 0 ? 0 : z;
  if constexpr (F == SIGMOID) return (1 + tanh_of(z / 2)) / 2;
  if constexpr (F == HARDTANH) return held(z, -1, 1);
  if constexpr (F == HARDSIGMOID) return held(z + 3, 0, 6) / 6;
  if constexpr (F == LEAKY_RELU) return z > 0 ? z : 0.01f * z;
  if constexpr (F == ELU) return z > 0 ? z : expm1f(z);
  if constexpr (F == SELU) return kScale * (z > 0 ? z : kAlpha * expm1f(z));
  if constexpr (F == SOFTSIGN) return z / (1 + fabsf(z));
  if constexpr (F == SOFTPLUS) return z > 20 ? z : log1pf(expf(z));
  return z;
}

/** f'(z), told from y = f(z). */
template <int F>
__device__ inline float slope(float y) {
  if constexpr (F == TANH) return 1 - y * y;
  if constexpr (F == RELU) return y <= 0 ? 0 : 1;
  if constexpr (F == SIGMOID) return y - y * y;
  if constexpr (F == HARDTANH) return y <= -1 || y >= 1 ? 0 : 1;
  if constexpr (F == HARDSIGMOID) return y <= 0 || y >= 1 ? 0 : 1.0f / 6;
  if constexpr (F == LEAKY_RELU) return y > 0 ? 1 : 0.01f;
  if constexpr (F == ELU) return y > 0 ? 1 : y + 1;
  if constexpr (F == SELU) return y > 0 ? kScale : y + kScale * kAlpha;
  if constexpr (F == SOFTSIGN) return (1 - fabsf(y)) * (1 - fabsf(y));
  if constexpr (F == SOFTPLUS) return -expm1f(-y);
  return 1;
}
