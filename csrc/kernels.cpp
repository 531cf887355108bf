// Which instruction sets were built, and which of them the machine has: asked when it runs.
#include "kernels.h"

#include <atomic>
#include <cstring>

namespace elman {

extern const Kernels kernels_plain;
#if defined(__x86_64__)
extern const Kernels kernels_avx2, kernels_avx512;
#endif

namespace {

struct Candidate {
  const Kernels* kernels;
  bool runs;
};

// The fastest first.
Candidate candidate(int k) {
#if defined(__x86_64__)
  switch (k) {
    case 0:
      return {&kernels_avx512,
              __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw")};
    case 1:
      return {&kernels_avx2, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")};
    default:
      break;
  }
#else
  (void)k;
#endif
  return {&kernels_plain, true};
}

const Kernels* best() {
  for (int k = 0;; ++k)
    if (candidate(k).runs) return candidate(k).kernels;
}

std::atomic<const Kernels*>& chosen() {
  static std::atomic<const Kernels*> kernels{best()};
  return kernels;
}

}  // namespace

const Kernels& kernels() { return *chosen().load(std::memory_order_relaxed); }

bool use_kernels(const char* instruction_set) {
  for (int k = 0;; ++k) {
    const Candidate c = candidate(k);
    if (std::strcmp(c.kernels->instruction_set, instruction_set) == 0 && c.runs) {
      chosen().store(c.kernels, std::memory_order_relaxed);
      return true;
    }
    if (c.kernels == &kernels_plain) return false;
  }
}

}  // namespace elman

// For Python, which reads and sets the choice without torch.
extern "C" {
__attribute__((visibility("default"))) const char* elman_instruction_set() {
  return elman::kernels().instruction_set;
}
__attribute__((visibility("default"))) int elman_use_instruction_set(const char* name) {
  return elman::use_kernels(name) ? 1 : 0;
}
}
