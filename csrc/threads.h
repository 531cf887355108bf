// Threads: sharing out tasks that never meet, and working on one thing step by step.
#pragma once

#include <atomic>
#include <memory>

#include "scan.h"
#include "simd.h"
#if defined(__unix__) || defined(__APPLE__)
#include <sched.h>
#endif

namespace elman {
namespace {

inline void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Threads that take the parts of a step and wait for each other before the next. A part is
// anybody's to take, and nobody waits for a thread that has not come: it cannot hang, however
// many threads there really are. Each leaves the others' parts to them for a while, so that
// everybody's share of W stays in its own cache.
class Crew {
 public:
  explicit Crew(int64_t parts) : parts_(parts), taken_(new Counter[parts]) {}

  // Calls work(step, part) for every part of every step, together with whoever else calls this.
  template <class Work>
  void run(int64_t steps, int64_t own, Work work) {
    present_.fetch_add(1, std::memory_order_relaxed);
    for (int64_t s = done_.load(std::memory_order_acquire) / parts_; s < steps; ++s) {
      take(s, own, work);
      for (int64_t spins = 0; done_.load(std::memory_order_acquire) < (s + 1) * parts_; ++spins) {
        if (spins < patience()) {
          relax();
          continue;
        }
        for (int64_t k = 1; k < parts_; ++k) take(s, (own + k) % parts_, work);
        if (spins > kYield) give_way();
      }
    }
  }

 private:
  static constexpr int64_t kPatience = 200, kYield = 2000;
  struct Counter {
    alignas(64) std::atomic<int64_t> steps{0};
  };

  int64_t patience() const {
    return present_.load(std::memory_order_relaxed) < parts_ ? 0 : kPatience;
  }
  template <class Work>
  void take(int64_t step, int64_t part, Work& work) {
    int64_t expected = step;
    std::atomic<int64_t>& taken = taken_[part].steps;
    if (taken.load(std::memory_order_relaxed) != step) return;
    if (!taken.compare_exchange_strong(expected, step + 1, std::memory_order_acq_rel)) return;
    work(step, part);
    done_.fetch_add(1, std::memory_order_release);
  }
  static void give_way() {
#if defined(__unix__) || defined(__APPLE__)
    sched_yield();
#else
    relax();
#endif
  }

  const int64_t parts_;
  const std::unique_ptr<Counter[]> taken_;
  alignas(64) std::atomic<int64_t> done_{0};
  alignas(64) std::atomic<int> present_{0};
};

// Runs task(k) for k below `tasks`, on this thread alone if it is not worth more.
template <class Task>
void share(const Parallel& parallel, int64_t tasks, bool worth, Task task) {
  const auto some = [](int64_t begin, int64_t end, void* context) {
    const NoSubnormals here;
    for (int64_t k = begin; k < end; ++k) (*static_cast<Task*>(context))(k);
  };
  if (worth && tasks > 1 && parallel.threads > 1)
    parallel.run(tasks, some, &task);
  else
    some(0, tasks, &task);
}

}  // namespace
}  // namespace elman
