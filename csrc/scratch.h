// Working memory that a thread keeps for its next call: asking the system anew for megabytes that
// are then touched page by page takes longer than many a call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace elman {

// At least so many bytes, at the start of a line of the cache; null where there are none.
void* take_scratch(size_t bytes);
void give_scratch(void* memory, size_t bytes);

struct GiveBack {
  size_t bytes = 0;
  void operator()(void* memory) const { give_scratch(memory, bytes); }
};
template <class T>
using Buffer = std::unique_ptr<T[], GiveBack>;

// Memory for n numbers.
template <class T>
inline Buffer<T> buffer(int64_t n) {
  const size_t bytes = static_cast<size_t>(n > 0 ? n : 1) * sizeof(T);
  return Buffer<T>(static_cast<T*>(take_scratch(bytes)), GiveBack{bytes});
}

}  // namespace elman
