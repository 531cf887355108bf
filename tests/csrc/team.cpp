// The threads of csrc/team.h: every task is run once, whoever has none takes part in another's, and
// an error ends the call. Each wait ends by itself, so that a mistake fails and does not hang.
#include "../../csrc/team.h"

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "pool.h"

namespace elman {
namespace {

void check(bool right, const char* what) {
  if (right) return;
  std::printf("wrong: %s\n", what);
  std::fflush(stdout);
  std::_Exit(1);  // the other threads may still be waiting
}

// Waits until `is()`; false if it did not come to that within ten seconds.
template <class Is>
bool comes(Is is) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!is() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  return is();
}

constexpr Parallel kPools[] = {{1, split<1>},     {2, split<2>},      {3, split<3>},
                               {4, split<4, 50>}, {2, split<2, 200>}, {3, stay}};

void every_task_is_run_once() {
  for (const Parallel& pool : kPools)
    for (int64_t tasks : {0, 1, 2, 3, 7, 40})
      for (int64_t more : {0, 1, 5}) {  // that each of them shares out in turn
        std::vector<std::atomic<int>> runs(tasks), inner(tasks * more);
        Team team(pool);
        team.share(tasks, true, [&](int64_t k) {
          ++runs[k];
          team.share(more, true, [&](int64_t i) { ++inner[k * more + i]; });
        });
        for (const auto& count : runs) check(count == 1, "a task was not run once");
        for (const auto& count : inner) check(count == 1, "a task of a task was not run once");
        check(!team.open() && !team.idle(), "the call is over");
      }
}

// One of two threads is done at once. The other waits for it, then shares out tasks of which the
// first two can only end together: on one thread they would not. Then both are at the others.
void who_has_no_task_takes_part() {
  constexpr int64_t many = 20000;
  std::atomic<int> begun{0};
  std::vector<std::atomic<int>> runs(many);
  Team team({2, split<2>});
  team.share(2, true, [&](int64_t k) {
    if (k == 0) return;
    check(comes([&] { return team.idle(); }), "a thread without a task should be idle");
    team.share(many, true, [&](int64_t i) {
      ++runs[i];
      if (i >= 2) return;
      ++begun;
      check(comes([&] { return begun == 2; }), "an idle thread should take part");
    });
  });
  for (const auto& count : runs) check(count == 1, "a task of two threads was not run once");
}

void what_is_not_worth_it_stays_on_this_thread() {
  const auto here = std::this_thread::get_id();
  Team team({4, split<4>});
  team.share(9, false, [&](int64_t) {
    check(std::this_thread::get_id() == here, "not worth sharing, and shared");
  });
  check(!team.worth(4 * kWorth) && team.worth(4.1 * kWorth), "each thread should have kWorth");
}

void an_error_ends_the_call() {
  for (const Parallel& pool : kPools)
    for (int64_t wrong = 0; wrong < 6; ++wrong) {
      bool caught = false;
      try {
        Team team(pool);
        team.share(3, true, [&](int64_t k) {
          team.share(2, true, [&](int64_t i) {
            if (2 * k + i == wrong) throw std::runtime_error("wrong");
          });
        });
      } catch (const std::runtime_error&) {
        caught = true;
      }
      check(caught, "an error of a task should be the caller's");
    }
}

}  // namespace
}  // namespace elman

int main() {
  using namespace elman;
  for (int round = 0; round < 20; ++round) {
    every_task_is_run_once();
    who_has_no_task_takes_part();
    what_is_not_worth_it_stays_on_this_thread();
    an_error_ends_the_call();
  }
  std::puts("right");
}
