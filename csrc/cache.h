// The lines of the cache.
#pragma once

#include <cstdint>

namespace elman {

constexpr int64_t kLineBytes = 64;
template <class T>
constexpr int64_t kLine = kLineBytes / static_cast<int64_t>(sizeof(T));  // numbers

// Asks for the numbers begin to end of a row, whole lines, before they are read or, with `kWrite`,
// written. To GCC that alone is no effect, and it would leave out whole functions that do nothing
// else: a statement that must stay keeps them.
template <int kWrite, class T>
inline void fetch_row(const T* row, int64_t begin, int64_t end) {
  for (int64_t j = begin / kLine<T> * kLine<T>; j < end; j += kLine<T>)
    __builtin_prefetch(row + j, kWrite);
  __asm__ volatile("");
}

}  // namespace elman
