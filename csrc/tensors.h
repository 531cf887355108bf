// PyTorch's tensors as the kernels need them, over its stable C++ interface alone.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <sstream>
#include <vector>

#include "kernels.h"
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace elman {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using Sizes = std::vector<int64_t>;

void run_parallel(int64_t tasks, void (*task)(int64_t, int64_t, void*), void* context) {
  STABLE_TORCH_ERROR_CODE_CHECK(torch_parallel_for(0, tasks, 1, task, context));
}

Parallel parallel() { return {static_cast<int>(torch::stable::get_num_threads()), run_parallel}; }

void check(Status status) {
  STD_TORCH_CHECK(status == Status::ok, "elman: not enough working memory");
}

// --- tensors ---------------------------------------------------------------------------------

// Asks the system for large pages where new memory is a large piece: there a first write to every
// page of 4 KiB can cost as much as the recurrence. That is advice, and no more memory is used.
constexpr uintptr_t kLargePage = uintptr_t{2} << 20;
void prefer_large_pages(void* memory, size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  const auto begin = reinterpret_cast<uintptr_t>(memory);
  const uintptr_t first = (begin + kLargePage - 1) / kLargePage * kLargePage;
  const uintptr_t end = (begin + bytes) / kLargePage * kLargePage;
  if (first < end) madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);
#else
  (void)memory;
  (void)bytes;
#endif
}

Tensor empty(const Sizes& sizes, const Sizes& strides, ScalarType dtype) {
  const int32_t type = torch::stable::detail::to<int32_t>(torch::stable::detail::from(dtype));
  AtenTensorHandle made;
  STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(static_cast<int64_t>(sizes.size()),
                                                         sizes.data(), strides.data(), type,
                                                         aoti_torch_device_type_cpu(), 0, &made));
  Tensor tensor(made);
  const size_t bytes = static_cast<size_t>(tensor.numel()) * tensor.element_size();
  if (bytes >= kLargePage) prefer_large_pages(tensor.mutable_data_ptr(), bytes);
  return tensor;
}

Tensor empty(const Sizes& sizes, ScalarType dtype) {
  Sizes strides(sizes.size(), 1);
  for (size_t k = sizes.size(); k-- > 1;)
    strides[k - 1] = strides[k] * std::max<int64_t>(1, sizes[k]);
  return empty(sizes, strides, dtype);
}

// An empty tensor stands for what an operator has nothing to return for.
Tensor or_empty(const std::optional<Tensor>& t, ScalarType dtype) {
  return t.has_value() ? *t : empty(Sizes{0}, dtype);
}

void zero(Tensor& t) {
  if (t.numel() > 0) std::memset(t.mutable_data_ptr(), 0, t.numel() * t.element_size());
}

// The last dimension's numbers side by side; the others anywhere.
Tensor even(const Tensor& t) {
  const int64_t last = t.dim() - 1;
  return last < 0 || t.size(last) <= 1 || t.stride(last) == 1 ? t : torch::stable::contiguous(t);
}

std::optional<Tensor> even(const std::optional<Tensor>& t) {
  return t.has_value() ? std::optional<Tensor>(even(*t)) : std::nullopt;
}

void check_tensor(const char* name, const Tensor& t, ScalarType dtype, const Sizes& sizes) {
  STD_TORCH_CHECK(t.is_cpu(), "elman: ", name, " should be on the CPU");
  STD_TORCH_CHECK(t.scalar_type() == dtype, "elman: ", name, " should be ",
                  torch::headeronly::toString(dtype), ", got ",
                  torch::headeronly::toString(t.scalar_type()));
  STD_TORCH_CHECK(t.numel() == 0 || t.const_data_ptr() != nullptr, "elman: ", name,
                  " has no numbers: its storage was taken away");
  bool same = t.dim() == static_cast<int64_t>(sizes.size());
  for (size_t k = 0; same && k < sizes.size(); ++k) same = t.size(k) == sizes[k];
  if (same) return;
  std::ostringstream expected, got;
  for (int64_t size : sizes) expected << (expected.tellp() > 0 ? ", " : "") << size;
  for (int64_t k = 0; k < t.dim(); ++k) got << (k > 0 ? ", " : "") << t.size(k);
  STD_TORCH_CHECK(false, "elman: ", name, " should be (", expected.str(), "), got (", got.str(),
                  ")");
}

// --- time ------------------------------------------------------------------------------------

// The steps of a sequence, dense (L, N, ...) or packed (rows, ...).
class Steps {
 public:
  Steps(const Tensor& sequence, int64_t N, const std::optional<Tensor>& batch_sizes) {
    if (!batch_sizes.has_value()) {
      STD_TORCH_CHECK(sequence.dim() >= 2 && sequence.size(1) == N,
                      "elman: a dense sequence should be (L, N, ...) with N = ", N);
      time_ = {sequence.size(0), N, nullptr};
      return;
    }
    STD_TORCH_CHECK(batch_sizes->is_cpu() && batch_sizes->dim() == 1 &&
                        batch_sizes->scalar_type() == ScalarType::Long,
                    "elman: batch_sizes should be a one-dimensional int64 tensor on the CPU");
    STD_TORCH_CHECK(sequence.dim() >= 1, "elman: a packed sequence should be (rows, ...)");
    kept_ = torch::stable::contiguous(*batch_sizes);
    const int64_t L = kept_->size(0);
    const int64_t* sizes = static_cast<const int64_t*>(kept_->const_data_ptr());
    starts_.resize(L);
    int64_t rows = 0;
    for (int64_t t = 0; t < L; ++t) {
      STD_TORCH_CHECK(sizes[t] >= 0 && sizes[t] <= (t == 0 ? N : sizes[t - 1]),
                      "elman: batch_sizes should lie between 0 and the ", N,
                      " rows of the initial state and never increase, got ", sizes[t], " at step ",
                      t);
      starts_[t] = rows;
      STD_TORCH_CHECK(sizes[t] <= sequence.size(0) - rows,
                      "elman: batch_sizes add up to more than ", "the ", sequence.size(0),
                      " rows of the sequence");
      rows += sizes[t];
    }
    STD_TORCH_CHECK(rows == sequence.size(0), "elman: batch_sizes add up to ", rows,
                    " rows, but the sequence has ", sequence.size(0));
    time_ = {L, N, sizes};
  }

  const Time& time() const { return time_; }
  const int64_t* starts() const { return packed() ? starts_.data() : nullptr; }
  bool packed() const { return kept_.has_value(); }
  // The shape of a sequence with these steps and so many numbers in a row.
  Sizes shape(const Sizes& row) const {
    Sizes sizes = packed() ? Sizes{rows()} : Sizes{time_.L, time_.N};
    sizes.insert(sizes.end(), row.begin(), row.end());
    return sizes;
  }
  int64_t rows() const {
    if (!packed()) return time_.L * time_.N;
    return time_.L == 0 ? 0 : starts_.back() + time_.batch_sizes[time_.L - 1];
  }

 private:
  Time time_;
  std::optional<Tensor> kept_;
  std::vector<int64_t> starts_;
};

template <class T>
T* data_of(const Tensor& t) {
  if constexpr (std::is_const_v<T>)
    return static_cast<T*>(t.const_data_ptr());
  else
    return static_cast<T*>(t.mutable_data_ptr());
}

// Where a sequence's rows lie, `shift` numbers into each.
template <class T>
Sequence<T> sequence(const Tensor& t, const Steps& steps, int64_t shift = 0) {
  T* data = t.numel() == 0 ? nullptr : data_of<T>(t) + shift;
  return {data, t.stride(0), t.stride(steps.packed() ? 0 : 1), steps.starts()};
}
template <class T>
Sequence<T> sequence(const std::optional<Tensor>& t, const Steps& steps, int64_t shift = 0) {
  return t.has_value() ? sequence<T>(*t, steps, shift) : Sequence<T>{};
}

// Calls body(T{}) with the type of `t`.
template <class Body>
auto with_type(const Tensor& t, Body body) {
  STD_TORCH_CHECK(t.scalar_type() == ScalarType::Float || t.scalar_type() == ScalarType::Double,
                  "elman: the CPU kernels serve float32 and float64, got ",
                  torch::headeronly::toString(t.scalar_type()));
  return t.scalar_type() == ScalarType::Float ? body(float{}) : body(double{});
}

Nonlinearity nonlinearity(int64_t f) {
  STD_TORCH_CHECK(f >= 0 && f < kNonlinearities, "elman: no nonlinearity has the number ", f);
  return static_cast<Nonlinearity>(f);
}

}  // namespace
}  // namespace elman
