// The kernels as PyTorch operators: what is built here runs with any later torch and any Python.
#include "layers.h"
#include "scans.h"

namespace elman {

// Their schemas are in src/elman/ops/operators.py.
STABLE_TORCH_LIBRARY_IMPL(elman, CPU, m) {
  m.impl("scan", TORCH_BOX(&scan));
  m.impl("linear_scan", TORCH_BOX(&linear_scan));
  m.impl("gated_scan", TORCH_BOX(&gated_scan));
  m.impl("layer", TORCH_BOX(&layer));
  m.impl("layer_backward", TORCH_BOX(&layer_backward));
  m.impl("gated_layer", TORCH_BOX(&gated_layer));
  m.impl("gated_layer_backward", TORCH_BOX(&gated_layer_backward));
  m.impl("normed_layer", TORCH_BOX(&normed_layer));
  m.impl("normed_layer_backward", TORCH_BOX(&normed_layer_backward));
}

}  // namespace elman

// A mask for Python, called without a tensor: `size` bytes to `to`, as masks.h says.
extern "C" __attribute__((visibility("default"))) void elman_draw_mask(uint64_t key, int32_t edge,
                                                                       int64_t size, uint8_t* to) {
  elman::kernels().draw_mask(key, edge, size, to, elman::parallel());
}
