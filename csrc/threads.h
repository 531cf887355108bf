// Threads that wait for each other: for a turn, or in work on one thing step by step.
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

// Waiting for another thread: at first on the core, then it is left to whoever needs it.
class Wait {
 public:
  void on() {
    if (left_-- > 0) return relax();
#if defined(__unix__) || defined(__APPLE__)
    sched_yield();
#else
    relax();
#endif
  }

 private:
  int64_t left_ = 2000;
};

// One at a time.
class Turn {
 public:
  explicit Turn(std::atomic_flag& busy) : busy_(busy) {
    for (Wait wait; busy_.test_and_set(std::memory_order_acquire);) wait.on();
  }
  ~Turn() { busy_.clear(std::memory_order_release); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  std::atomic_flag& busy_;
};

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
      Wait wait;
      for (int64_t spins = 0; done_.load(std::memory_order_acquire) < (s + 1) * parts_; ++spins) {
        for (int64_t k = 1; spins >= patience() && k < parts_; ++k)
          take(s, (own + k) % parts_, work);
        wait.on();
      }
    }
  }

 private:
  static constexpr int64_t kPatience = 200;
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

  const int64_t parts_;
  const std::unique_ptr<Counter[]> taken_;
  alignas(64) std::atomic<int64_t> done_{0};
  alignas(64) std::atomic<int> present_{0};
};

}  // namespace
}  // namespace elman
