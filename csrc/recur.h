// Recurrences over time on threads.
//
// Rows never meet, so threads share them out and need not wait for each other; one that is done
// takes half of another's rows. Where there are few rows and M is large, the threads share its
// columns instead and meet at every step.
#pragma once

#include <numeric>

#include "loop.h"
#include "team.h"

namespace elman {
namespace {

// How the threads divide the work.
struct Plan {
  bool alone;       // one thread
  bool by_columns;  // all threads at one recurrence, each with some columns of M
  int64_t chunks;   // or each with some rows, in so many chunks a recurrence
};

constexpr double kWorthAStep = 3e4;         // multiplications between two meetings
constexpr double kWorthPacking = 3e4;       // numbers of W to bring into panels
constexpr int64_t kEnoughRows = 4;          // rows of a chunk, if possible
constexpr int64_t kManyRowsEach = 24;       // the same where M is larger than
constexpr int64_t kLargeWeights = 1 << 20;  // bytes

inline int64_t rows_in(const Time& time) {
  if (time.batch_sizes == nullptr) return time.L * time.N;
  return std::accumulate(time.batch_sizes, time.batch_sizes + time.L, int64_t{0});
}

// For `count` recurrences with `each` multiplications a row; `by_rows`, none may cut a row.
inline Plan plan_for(double each, int64_t bytes, int64_t count, const Time& time, const Team& team,
                     bool by_rows) {
  const int64_t threads = team.threads(), N = time.N;
  const double work = each * static_cast<double>(rows_in(time) * count);
  Plan plan{threads <= 1 || !team.worth(work), false, 1};
  if (plan.alone || count % threads == 0) return plan;
  // A large M is better shared: a thread's part of it may stay in its cache from step to step.
  const int64_t enough = bytes > kLargeWeights ? kManyRowsEach : kEnoughRows;
  plan.by_columns = !by_rows && (time.L == 1 || N < threads * enough) &&
                    each * static_cast<double>(N) > kWorthAStep * static_cast<double>(threads);
  if (plan.by_columns) return plan;
  const int64_t chunks = threads / std::gcd(threads, count);
  plan.chunks = std::max<int64_t>(1, std::min(chunks, N / kEnoughRows));
  plan.alone = plan.chunks * count == 1;
  return plan;
}

// Brings M (and Wx) of every scan into panels.
template <class T, class R>
void pack(const std::vector<R>& scans, std::vector<Weights<T>>& weights, Team& team) {
  const int64_t panels = weights[0].weight.count(), H = scans[0].H;
  const bool worth = static_cast<double>(H * H) > kWorthPacking * team.threads();
  team.share(static_cast<int64_t>(weights.size()) * panels, worth, [&](int64_t task) {
    pack_panel(scans[task / panels], weights[task / panels], task % panels, task % panels);
  });
  for (Weights<T>& w : weights) w.packed = true;
}

template <class T, class L>
void keep_last_of(const Scan<T>& scan, const L& loop) {
  loop.keep_last(scan.last);
}
template <class T, class L>
void keep_last_of(const Recurrence<T>&, const L&) {}

// All rows of every recurrence, each in a time of its own. M (and Wx) come into panels on the way,
// unless they are there already or read where they lie.
template <class T, class Finish, class R>
Status recur(const std::vector<R>& scans, const std::vector<Time>& times, Team& team,
             std::vector<Weights<T>>& weights) {
  const int64_t count = static_cast<int64_t>(scans.size());
  const int64_t H = scans[0].H, N = times[0].N, panels = weights[0].weight.count();
  const bool scaled =
      std::any_of(scans.begin(), scans.end(), [](const R& scan) { return inside_of(scan).here(); });
  const bool by_rows =
      scaled || std::any_of(scans.begin(), scans.end(), [](const R& scan) { return whole(scan); });
  const bool fused = input_of(scans[0]).data != nullptr;
  const double each =
      static_cast<double>(H) * static_cast<double>(H + (fused ? weights[0].x_weight.K() : 0));
  const int64_t bytes = H * H * static_cast<int64_t>(sizeof(T));
  const Plan plan =
      team.open() ? Plan{false, false, 1} : plan_for(each, bytes, count, times[0], team, by_rows);
  const Buffer<T> scratch = scaled ? buffer<T>(count * N * H) : nullptr;
  if (scaled && scratch == nullptr) return Status::out_of_memory;
  const auto loop = [&](int64_t k, Rows rows) {
    return Loop<T, R, Finish>(scans[k], times[k], weights[k], cut_for(N), rows);
  };
  if (!weights[0].direct && !weights[0].packed && !plan.by_columns && !plan.alone)
    pack(scans, weights, team);
  if (plan.by_columns) {
    const int64_t parts = std::min<int64_t>(team.threads(), panels);
    for (int64_t k = 0; k < count; ++k) {
      Crew crew(parts);
      auto all_rows = loop(k, {0, 1, N});
      team.share(parts, true, [&](int64_t own) {
        crew.run(times[k].L, own, [&](int64_t s, int64_t part) {
          all_rows.step(s, panels * part / parts, panels * (part + 1) / parts, nullptr);
        });
      });
      keep_last_of(scans[k], all_rows);
    }
    return Status::ok;
  }
  const bool dealt = times[0].batch_sizes != nullptr;  // the first rows are the longest
  const auto can_be_cut = [&](int64_t rows, int64_t steps) {
    return rows >= 2 * kEnoughRows && team.worth(each * static_cast<double>(rows * steps));
  };
  // Some rows of the k-th, from step s on: half of them are left to a thread that has none.
  const auto go = [&](const auto& again, int64_t k, const Rows& rows, int64_t s) -> void {
    auto some_rows = loop(k, rows);
    T* const inside = scaled ? scratch.get() + k * N * H : nullptr;
    for (; s < times[k].L; ++s) {
      if (team.idle() && can_be_cut(some_rows.live(s), times[k].L - s)) {
        team.share(2, true, [&](int64_t half) { again(again, k, rows.part(half, 2, dealt), s); });
        return;
      }
      some_rows.step(s, 0, panels, inside);
    }
    keep_last_of(scans[k], some_rows);
  };
  team.share(count * plan.chunks, !plan.alone, [&](int64_t task) {
    const int64_t k = task / plan.chunks, c = task % plan.chunks;
    go(go, k, Rows{0, 1, N}.part(c, plan.chunks, dealt), 0);
  });
  return Status::ok;
}

}  // namespace
}  // namespace elman
