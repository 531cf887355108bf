// Threads that share tasks out, and help each other with what is left.
//
// Cores are not equally fast, nor all of the time: who is done sooner takes part in what the others
// still have to do. Tasks may share out more tasks, and ask whether anybody is there for them.
#pragma once

#include "threads.h"

namespace elman {
namespace {

constexpr double kWorth = 3e5;      // multiplications: what a thread must have to do, to be called
constexpr double kWorthHelp = 5e4;  // or when it is there

// The threads of one call.
class Team {
 public:
  explicit Team(const Parallel& parallel) : parallel_(parallel) {}

  int threads() const { return parallel_.threads; }
  // Whether the call is within a task; then a thread that has none takes part in what is shared.
  bool open() const { return open_; }
  // Whether there is such a thread.
  bool idle() const { return idle_.load(std::memory_order_relaxed) > 0; }

  // Whether so many multiplications are worth more than one thread.
  bool worth(double multiplications) const {
    return multiplications > (open_ ? 2 * kWorthHelp : kWorth * threads());
  }

  // Runs task(k) for every k below `tasks`, on this thread alone if it is not worth more.
  template <class Task>
  void share(int64_t tasks, bool worth, Task task) {
    if (!worth || tasks < 2 || threads() < 2) {
      const NoSubnormals here;
      for (int64_t k = 0; k < tasks; ++k) task(k);
      return;
    }
    Offer offer(
        tasks, open_ ? 1 : threads(), [](int64_t k, void* of) { (*static_cast<Task*>(of))(k); },
        &task);
    const Posted posted(*this, offer);
    if (open_)
      offer.work(0);
    else
      gather(offer);
  }

 private:
  // Tasks that are anybody's to take. They lie in parts, one for each thread to begin with: so it
  // meets again what it has in its cache from the call before.
  struct Offer {
    Offer(int64_t tasks, int64_t parts, void (*call)(int64_t, void*), void* context)
        : tasks(tasks), parts(parts), call(call), context(context), next(new Counter[parts]) {
      for (int64_t p = 0; p < parts; ++p) next[p].task = begin(p);
    }

    int64_t begin(int64_t part) const { return tasks * part / parts; }
    bool taken() const {
      for (int64_t p = 0; p < parts; ++p)
        if (next[p].task.load(std::memory_order_acquire) < begin(p + 1)) return false;
      return true;
    }
    bool done() const { return taken() && helpers.load(std::memory_order_acquire) == 0; }
    void work(int64_t own) {
      for (int64_t p = own; p < own + parts; ++p) {
        std::atomic<int64_t>& task = next[p % parts].task;
        const int64_t end = begin(p % parts + 1);
        for (int64_t k; (k = task.fetch_add(1, std::memory_order_acq_rel)) < end;) call(k, context);
      }
    }

    struct Counter {
      alignas(64) std::atomic<int64_t> task;
    };
    const int64_t tasks, parts;
    void (*const call)(int64_t, void*);
    void* const context;
    const std::unique_ptr<Counter[]> next;
    std::atomic<int64_t> helpers{0};
    Offer* after = nullptr;
  };

  // An offer, as long as others can see it: at the end nobody is at work on it.
  class Posted {
   public:
    Posted(Team& team, Offer& offer) : team_(team), offer_(offer) {
      const Turn turn(team_.busy_);
      Offer** last = &team_.offers_;  // the first ones, whose tasks are the largest, come first
      while (*last != nullptr) last = &(*last)->after;
      *last = &offer_;
      team_.posted_.fetch_add(1, std::memory_order_release);
    }
    ~Posted() {
      {
        const Turn turn(team_.busy_);
        Offer** place = &team_.offers_;
        while (*place != &offer_) place = &(*place)->after;
        *place = offer_.after;
      }
      team_.help(0, [this] { return offer_.helpers.load(std::memory_order_acquire) == 0; });
    }
    Posted(const Posted&) = delete;
    Posted& operator=(const Posted&) = delete;

   private:
    Team& team_;
    Offer& offer_;
  };

  // Taking part in an offer, which lasts at least as long.
  class Joined {
   public:
    explicit Joined(Offer& offer) : offer_(offer) {}
    ~Joined() { offer_.helpers.fetch_sub(1, std::memory_order_release); }
    Joined(const Joined&) = delete;
    Joined& operator=(const Joined&) = delete;

   private:
    Offer& offer_;
  };

  Offer* join() {
    const Turn turn(busy_);
    for (Offer* offer = offers_; offer != nullptr; offer = offer->after)
      if (!offer->taken()) {
        offer->helpers.fetch_add(1, std::memory_order_relaxed);
        return offer;
      }
    return nullptr;
  }

  // Takes part in whatever is offered, until done().
  template <class Done>
  void help(int64_t own, Done done) {
    while (!done()) {
      const int64_t seen = posted_.load(std::memory_order_acquire);
      if (Offer* const offer = join()) {
        const Joined joined(*offer);
        offer->work(own);
        continue;
      }
      idle_.fetch_add(1, std::memory_order_relaxed);
      for (Wait wait; !done() && posted_.load(std::memory_order_acquire) == seen;) wait.on();
      idle_.fetch_sub(1, std::memory_order_relaxed);
    }
  }

  // All threads, for the first offer; each that comes helps until it is done.
  void gather(Offer& offer) {
    struct All {
      Team& team;
      Offer& offer;
    } all{*this, offer};
    open_ = true;
    parallel_.run(
        threads(),
        [](int64_t begin, int64_t, void* context) {
          const NoSubnormals here;
          const auto& [team, offer] = *static_cast<All*>(context);
          team.help(begin, [&offer = offer] { return offer.done(); });
        },
        &all);
    open_ = false;
  }

  const Parallel parallel_;
  bool open_ = false;
  std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
  Offer* offers_ = nullptr;  // in their turn alone
  alignas(64) std::atomic<int64_t> posted_{0};
  alignas(64) std::atomic<int> idle_{0};
};

}  // namespace
}  // namespace elman
