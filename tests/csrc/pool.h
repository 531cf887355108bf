// Threads for the kernels, as at::parallel_for gives them with a grain of one; and such as may be
// late or never come.
#pragma once

#include <algorithm>
#include <chrono>
#include <exception>
#include <thread>
#include <vector>

#include "../../csrc/scan.h"

namespace elman {
namespace {

using Tasks = void (*)(int64_t begin, int64_t end, void*);

// Each thread takes some tasks in a row; the last error of any is the caller's. Those that come
// late find others at their work, who have some of it left for them.
template <int threads, int microseconds_late = 0>
void split(int64_t count, Tasks tasks, void* context) {
  const int64_t each = (count + threads - 1) / threads;
  std::exception_ptr errors[threads];
  const auto run = [&](int thread) {
    const int64_t begin = std::min(count, thread * each), end = std::min(count, begin + each);
    try {
      if (begin < end) tasks(begin, end, context);
    } catch (...) {
      errors[thread] = std::current_exception();
    }
  };
  std::vector<std::thread> others;
  for (int thread = 1; thread < threads; ++thread)
    others.emplace_back([&run, thread] {
      std::this_thread::sleep_for(std::chrono::microseconds(microseconds_late));
      run(thread);
    });
  run(0);
  for (std::thread& other : others) other.join();
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

// Threads were promised, none came.
inline void stay(int64_t count, Tasks tasks, void* context) { tasks(0, count, context); }

}  // namespace
}  // namespace elman
