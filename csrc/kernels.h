// The kernels this machine runs best.
#pragma once

#include "scan.h"

namespace elman {

const Kernels& kernels();

// By the name of an instruction set; false if this machine or this build has no such kernels.
bool use_kernels(const char* instruction_set);

}  // namespace elman
