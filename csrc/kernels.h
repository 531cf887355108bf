// The kernels in use: those this machine runs best, or others that were asked for.
#pragma once

#include "scan.h"

namespace elman {

const Kernels& kernels();

// By the name of an instruction set; false if this machine or this build has no such kernels.
bool use_kernels(const char* instruction_set);

template <class T>
const KernelsOf<T>& kernels_for(const Kernels& kernels) {
  if constexpr (sizeof(T) == sizeof(float))
    return kernels.f32;
  else
    return kernels.f64;
}

}  // namespace elman
