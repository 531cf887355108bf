// What gates a layer and what norms it, as PyTorch's tensors and as the kernels read them.
#pragma once

#include "tensors.h"

namespace elman {
namespace {

// What gates one direction: g, q, e and r, each of which may be of bools, and of one step, one row
// or one column for all; where it is absent, a tensor of one dimension stands for it. Packed,
// (1, N, H) is the same at every step, and (rows, H) is not.
template <class T>
Factor<T> factor(const Tensor& t, const Steps& steps) {
  if (t.dim() == 1) return {};
  const int64_t last = t.dim() - 1;
  const bool still = t.size(0) == 1 && t.dim() == 3, packed = steps.packed() && t.dim() == 2;
  Factor<T> of{};
  if (t.scalar_type() == ScalarType::Bool)
    of.flags = data_of<const uint8_t>(t);
  else
    of.data = data_of<const T>(t);
  of.step = still ? 0 : t.stride(0);
  of.row = packed ? t.stride(0) : t.size(1) == 1 ? 0 : t.stride(1);
  of.starts = packed ? steps.starts() : nullptr;
  of.single = t.size(last) == 1 || t.stride(last) == 0;
  return of;
}

struct Gating {
  std::vector<Tensor> factors;  // g, q, e and r of every direction; or none at all
  double bound;

  void check(int64_t D, int64_t N, int64_t H, ScalarType dtype, const Steps& steps) {
    STD_TORCH_CHECK(factors.empty() || static_cast<int64_t>(factors.size()) == 4 * D,
                    "elman: there should be g, q, e and r of every direction");
    STD_TORCH_CHECK(!(bound < 0), "elman: the bound of z should not be below zero");
    for (Tensor& t : factors) {
      if (t.dim() == 1 && t.numel() == 0) continue;
      const auto fits = [&](int64_t k, int64_t size) {
        return t.size(k) == 1 || t.size(k) == size;
      };
      const bool each = steps.packed() && t.dim() == 2;
      STD_TORCH_CHECK(
          t.is_cpu() && (t.scalar_type() == dtype || t.scalar_type() == ScalarType::Bool),
          "elman: a factor should be on the CPU and of the input's dtype, or of bools");
      STD_TORCH_CHECK(
          each ? t.size(0) == steps.rows() && fits(1, H)
               : t.dim() == 3 && fits(1, N) && fits(2, H) &&
                     (t.size(0) == 1 || (!steps.packed() && t.size(0) == steps.time().L)),
          "elman: a factor should be (L, N, H), or one in the place of any of them");
      STD_TORCH_CHECK(t.numel() == 0 || t.const_data_ptr() != nullptr,
                      "elman: a factor has no numbers: its storage was taken away");
      if (t.stride(t.dim() - 1) != 0) t = even(t);
    }
  }

  bool there(int64_t k) const { return !factors.empty() && factors[k].dim() > 1; }
  // Whether the gradients need y: where g is of bools and stands without e, h is y, or y counts for
  // nothing.
  bool keeps_y() const {
    for (size_t k = 0; k < factors.size(); k += 4) {
      const bool numbers = there(k) && factors[k].scalar_type() != ScalarType::Bool;
      if (numbers || there(k + 2)) return true;
    }
    return false;
  }
  template <class T>
  Gates<T> of(int64_t d, const Steps& steps) const {
    if (factors.empty()) return {};
    return {factor<T>(factors[4 * d], steps), factor<T>(factors[4 * d + 1], steps),
            factor<T>(factors[4 * d + 2], steps), factor<T>(factors[4 * d + 3], steps)};
  }
};

// What makes the rows of z even, in every direction; or nothing does.
struct Norming {
  std::vector<Tensor> tensors;  // γ and β of every direction
  double eps;

  bool here() const { return !tensors.empty(); }
  void check(int64_t D, int64_t H, ScalarType dtype) {
    STD_TORCH_CHECK(tensors.empty() || static_cast<int64_t>(tensors.size()) == 2 * D,
                    "elman: there should be a norm's weight and bias of every direction");
    STD_TORCH_CHECK(eps >= 0, "elman: a norm's eps should not be below zero");
    for (Tensor& t : tensors) {
      check_tensor("a norm's weight or bias", t, dtype, {H});
      t = even(t);
    }
  }
  template <class T>
  Norm<T> of(int64_t d) const {
    if (!here()) return {};
    return {data_of<const T>(tensors[2 * d]), data_of<const T>(tensors[2 * d + 1]), eps};
  }
};

}  // namespace
}  // namespace elman
