// All derivatives of a scan, from its last step to its first.
//
// The batch is cut into groups of rows, told from the sizes alone, and each group's share of the
// weights' gradients is summed on its own: threads take groups, find all they need in their own
// cache, and the result does not depend on how many they are. Within a group the δ_t live for a
// stretch of steps at a time, long enough that the products over their rows run at full speed,
// short enough to stay in cache: no memory is needed that grows with L.
#pragma once

#include "products.h"

namespace elman {
namespace {

constexpr int64_t kRowsOfStretch = 168;                // a panel of them stays in the nearest cache
constexpr int64_t kSharesBytes = 16 << 20;             // what the groups' own gradients may take
constexpr int64_t kMostGroups = 16, kRowsOfGroup = 8;  // rows in a step
constexpr int64_t kAllRowsOfGroup = 640;      // rows in all: below, summing up takes too long
constexpr int64_t kFewRowsInAll = 40;         // of a stretch: then no panels are made
constexpr int64_t kColumnsOfTask = 32;        // of δ, in a product over rows
constexpr int64_t kWorthGathering = 1 << 18;  // bytes for more than one thread to sum up

template <class T>
Sequence<T> from_step(Sequence<T> s, int64_t t) {
  if (s.starts != nullptr)
    s.starts += t;
  else if (s.data != nullptr)
    s.data += t * s.step;
  return s;
}

// The rows of one group: time as it is for them, and anything that has a row for each.
class Group {
 public:
  Group(const Time& time, Rows rows) : rows_(rows), time_{time.L, rows.count, nullptr} {
    if (time.batch_sizes == nullptr) return;
    live_.resize(time.L);
    for (int64_t t = 0; t < time.L; ++t) live_[t] = rows.live(time, t);
    time_.batch_sizes = live_.data();
  }

  const Time& time() const { return time_; }
  int64_t live(int64_t t) const {
    if (t < 0 || t >= time_.L) return 0;
    return live_.empty() ? time_.N : live_[t];
  }
  template <class T>
  Sequence<T> of(Sequence<T> s) const {
    if (s.data != nullptr) s.data += rows_.first * s.row;
    s.row *= rows_.skip;
    return s;
  }
  template <class T>
  Lines<T> of(Lines<T> s) const {
    if (s.data != nullptr) s.data += rows_.first * s.row;
    s.row *= rows_.skip;
    return s;
  }

 private:
  const Rows rows_;
  Time time_;
  std::vector<int64_t> live_;
};

// One scan's part in a group.
template <class T>
class Derivation {
 public:
  // `asked` is for the rows of the group alone; `x_weight` its Wx in panels.
  Derivation(const Gradients<T>& asked, const Group& group, const Panels<T>& x_weight,
             int64_t most_rows)
      : asked_(asked),
        group_(group),
        x_weight_(x_weight),
        H_(asked.H),
        rows_of_h_(asked.weight_bar != nullptr ? most_rows : 0, H_, kManyRows.widest),
        rows_of_x_(asked.weight_bar != nullptr ? most_rows : 0, asked.K, kManyRows.widest) {
    for (Buffer<T>& delta : delta_) delta = buffer<T>(most_rows * H_);
    begun_ = buffer<T>(group.time().N * H_);
    if (begun_) std::fill(begun_.get(), begun_.get() + group.time().N * H_, T(0));
  }

  bool ok() const { return delta_[0] && delta_[1] && begun_ && rows_of_h_.ok() && rows_of_x_.ok(); }
  const Time& stretch() const { return stretch_; }

  // The recurrence of δ over so many steps more, after those done already.
  Backward<T> next(int64_t done, int64_t length) {
    std::swap(delta_[0], delta_[1]);
    const Time& time = group_.time();
    const int64_t first = asked_.reverse ? time.L - done - length : done;
    first_ = first;
    starts_[0].swap(starts_[1]);
    starts_[0].assign(1, 0);
    for (int64_t s = 0; s < length; ++s)
      starts_[0].push_back(starts_[0].back() + group_.live(first + s));
    stretch_ = {length, time.N, time.batch_sizes == nullptr ? nullptr : time.batch_sizes + first};
    Backward<T> now = asked_;
    now.h = from_step(asked_.h, first);
    now.h_bar = from_step(asked_.h_bar, first);
    now.out = {delta_[0].get(), H_, H_, starts_[0].data()};
    now.resume = {resume_, H_};
    now.resumed = resumed_;
    const int64_t edge = now.reverse ? 0 : length - 1;  // what the next stretch goes on from
    resume_ = step_of(now.out, edge);
    resumed_ = group_.live(first + edge);
    return now;
  }

  // Everything made of those δ.
  void use(const Parallel& parallel) {
    const int64_t rows = starts_[0].back();
    const Lines<const T> delta{delta_[0].get(), H_};
    collect();
    const double work = static_cast<double>(rows * H_) * static_cast<double>(H_ + asked_.K);
    const bool worth = work > kWorth * parallel.threads;
    if (asked_.x_bar.data != nullptr) {
      constexpr int64_t kRows = 64;  // of a task
      share(parallel, (rows + kRows - 1) / kRows, worth, [&](int64_t task) {
        multiply_rows<T>(
            delta, x_weight_, 0, x_weight_.count(), task * kRows,
            std::min(rows, (task + 1) * kRows), [&](int64_t i) { return x_bar_[i]; }, true);
      });
    }
    if (asked_.weight_bar == nullptr || rows == 0) return;
    const int64_t blocks = (H_ + kColumnsOfTask - 1) / kColumnsOfTask;
    if (rows <= kFewRowsInAll) {
      share(parallel, blocks, worth, [&](int64_t task) {
        const int64_t begin = task * kColumnsOfTask, end = std::min(H_, begin + kColumnsOfTask);
        add_outer_of_few<T>(delta, h_before_.data(), rows, H_, begin, end, asked_.weight_bar,
                            summing_);
        add_outer_of_few<T>(delta, x_.data(), rows, asked_.K, begin, end, asked_.x_weight_bar,
                            summing_);
        if (asked_.bias_bar != nullptr)
          add_rows<T>(delta, rows, begin, end, asked_.bias_bar, summing_);
      });
      summing_ = true;
      return;
    }
    rows_of_h_.resize(rows);
    rows_of_x_.resize(rows);
    const int64_t panels = rows_of_h_.count();
    const int64_t all = panels + (asked_.K > 0 ? rows_of_x_.count() : 0);
    share(parallel, all, worth, [&](int64_t k) {
      if (k < panels)
        rows_of_h_.fill_lines([&](int64_t i) { return h_before_[i]; }, k);
      else
        rows_of_x_.fill_lines([&](int64_t i) { return x_[i]; }, k - panels);
    });
    share(parallel, all * blocks, worth, [&](int64_t task) {
      const int64_t k = task % all, begin = task / all * kColumnsOfTask;
      const int64_t end = std::min(H_, begin + kColumnsOfTask);
      if (k == 0 && asked_.bias_bar != nullptr)
        add_rows<T>(delta, rows, begin, end, asked_.bias_bar, summing_);
      if (k < panels)
        add_outer<T>(delta, rows_of_h_, k, begin, end, asked_.weight_bar, summing_);
      else
        add_outer<T>(delta, rows_of_x_, k - panels, begin, end, asked_.x_weight_bar, summing_);
    });
    summing_ = true;
  }

  // When every step is done: h̄_0, which is δ of each row's first step × W.
  void finish(const Panels<T>& weight) {
    if (!summing_ && asked_.weight_bar != nullptr) {
      std::fill(asked_.weight_bar, asked_.weight_bar + H_ * H_, T(0));
      std::fill(asked_.x_weight_bar, asked_.x_weight_bar + H_ * asked_.K, T(0));
      if (asked_.bias_bar != nullptr) std::fill(asked_.bias_bar, asked_.bias_bar + H_, T(0));
    }
    const Lines<T>& to = asked_.h_0_bar;
    if (to.data == nullptr) return;
    const int64_t live = group_.live(0);
    multiply_rows<T>(
        {begun_.get(), H_}, weight, 0, weight.count(), 0, live,
        [&](int64_t r) { return to.data + r * to.row; }, false);
    const Lines<const T>& last = asked_.last_bar;
    for (int64_t r = live; r < group_.time().N; ++r)  // of a row without a step h_n is h_0
      for (int64_t j = 0; j < H_; ++j)
        to.data[r * to.row + j] = last.data == nullptr ? T(0) : last.data[r * last.row + j];
  }

 private:
  // Row by row of a stretch: h before the step, in the direction of the scan, x and x̄; and δ
  // where a row begins.
  void collect() {
    h_before_.clear();
    x_.clear();
    x_bar_.clear();
    const T* delta = delta_[0].get();
    for (int64_t t = first_; t < first_ + stretch_.L; ++t) {
      const int64_t before = asked_.reverse ? t - 1 : t + 1;
      const int64_t rows = group_.live(t), going = std::min(rows, group_.live(before));
      const T* h = going > 0 ? step_of(asked_.h, before) : nullptr;
      const T* x = step_of(asked_.x, t);
      T* x_bar = step_of(asked_.x_bar, t);
      for (int64_t r = 0; r < rows; ++r, delta += H_) {
        h_before_.push_back(r < going ? h + r * asked_.h.row
                                      : asked_.h_0.data + r * asked_.h_0.row);
        x_.push_back(x + r * asked_.x.row);
        if (x_bar != nullptr) x_bar_.push_back(x_bar + r * asked_.x_bar.row);
        if (r >= going) std::memcpy(begun_.get() + r * H_, delta, H_ * sizeof(T));
      }
    }
  }

  const Gradients<T> asked_;
  const Group& group_;
  const Panels<T>& x_weight_;
  const int64_t H_;
  Buffer<T> delta_[2], begun_;
  std::vector<int64_t> starts_[2];
  Panels<T> rows_of_h_, rows_of_x_;
  bool summing_ = false;  // the weights' gradients have a first part already
  Time stretch_{};
  int64_t first_ = 0;
  const T* resume_ = nullptr;
  int64_t resumed_ = 0;
  std::vector<const T*> h_before_, x_;
  std::vector<T*> x_bar_;
};

// What a group adds up on its own: W̄, W̄x and b̄ of each scan, one after the other.
template <class T>
struct Share {
  int64_t H, K;
  int64_t size() const { return H * H + H * K + H; }
  void give(Gradients<T>& to, T* memory) const {
    if (to.weight_bar == nullptr) return;
    to.weight_bar = memory;
    to.x_weight_bar = memory + H * H;
    if (to.bias_bar != nullptr) to.bias_bar = memory + H * H + H * K;
  }
};

template <class T, class F>
Status derive_group(const std::vector<Gradients<T>>& asked, const Group& group,
                    std::vector<Weights<T>>& weights, const Parallel& parallel) {
  const int64_t L = group.time().L, N = group.time().N;
  const int64_t steps = std::min(L, std::max<int64_t>(1, kRowsOfStretch / std::max<int64_t>(1, N)));
  std::vector<Derivation<T>> parts;
  parts.reserve(asked.size());
  for (size_t k = 0; k < asked.size(); ++k) {
    parts.emplace_back(asked[k], group, weights[k].x_weight, steps * N);
    if (!parts[k].ok()) return Status::out_of_memory;
  }
  for (int64_t done = 0; done < L; done += steps) {
    const int64_t length = std::min(steps, L - done);
    std::vector<Backward<T>> now;
    std::vector<Time> stretches;
    for (Derivation<T>& part : parts) {
      now.push_back(part.next(done, length));
      stretches.push_back(part.stretch());
    }
    const Status status = recur<T, Back<T, F>>(now, stretches, parallel, weights);
    if (status != Status::ok) return status;
    for (Derivation<T>& part : parts) part.use(parallel);
  }
  for (size_t k = 0; k < parts.size(); ++k) parts[k].finish(weights[k].weight);
  return Status::ok;
}

// How many groups: a power of two, so that it is shared out evenly.
inline int64_t groups_for(int64_t N, int64_t rows, int64_t bytes) {
  int64_t groups = 1;
  while (2 * groups <= kMostGroups && 2 * groups * kRowsOfGroup <= N &&
         2 * groups * kAllRowsOfGroup <= rows && 2 * groups * bytes <= kSharesBytes)
    groups *= 2;
  return groups;
}

// Brings what will be needed of every W and Wx into panels.
template <class T>
void pack_all(const Gradients<T>* asked, std::vector<Weights<T>>& weights, const Time& time,
              const Parallel& parallel) {
  const bool weight = time.L > 1 || asked[0].h_0_bar.data != nullptr;
  const bool x_weight = asked[0].x_bar.data != nullptr;
  const int64_t panels = weights[0].weight.count(), all = panels + weights[0].x_weight.count();
  const double work = static_cast<double>(asked[0].H) * static_cast<double>(asked[0].H);
  share(parallel, static_cast<int64_t>(weights.size()) * all,
        work > kWorthPacking * parallel.threads, [&](int64_t task) {
          const int64_t k = task / all, panel = task % all;
          if (panel < panels && weight) weights[k].weight.fill(asked[k].weight, panel);
          if (panel >= panels && x_weight)
            weights[k].x_weight.fill(asked[k].x_weight, panel - panels);
        });
  for (Weights<T>& w : weights) w.packed = true;
}

template <class T, class F>
Status derive(const Gradients<T>* asked, int64_t count, const Time& time,
              const Parallel& parallel) {
  const int64_t H = asked[0].H, K = asked[0].K, N = time.N;
  const Share<T> share_of{H, K};
  const int64_t bytes = count * share_of.size() * static_cast<int64_t>(sizeof(T));
  const int64_t groups = groups_for(N, rows_in(time), bytes);
  std::vector<Weights<T>> weights;
  for (int64_t k = 0; k < count; ++k) {
    const bool through = asked[k].x_bar.data != nullptr;
    weights.push_back({{H, H, cut_for(N).widest}, {through ? H : 0, K, kManyRows.widest}, false});
    if (!weights[k].ok()) return Status::out_of_memory;
  }
  pack_all(asked, weights, time, parallel);
  const Buffer<T> shares = buffer<T>(groups > 1 ? groups * count * share_of.size() : 0);
  if (!shares) return Status::out_of_memory;
  std::atomic<Status> status{Status::ok};
  const double work = static_cast<double>(rows_in(time) * H) * static_cast<double>(2 * (H + K));
  const bool by_groups = groups >= parallel.threads;
  const Parallel within = by_groups ? Parallel{1, nullptr} : parallel;
  share(parallel, groups, by_groups && work > kWorth * parallel.threads, [&](int64_t g) {
    const int64_t first = N * g / groups, end = N * (g + 1) / groups;
    const Group group(time, time.batch_sizes == nullptr
                                ? Rows{first, 1, end - first}
                                : Rows{g, groups, (N - g + groups - 1) / groups});
    std::vector<Gradients<T>> own(asked, asked + count);
    T* memory = shares.get() + g * count * share_of.size();
    for (Gradients<T>& one : own) {
      one.h = group.of(one.h);
      one.h_bar = group.of(one.h_bar);
      one.x = group.of(one.x);
      one.x_bar = group.of(one.x_bar);
      one.h_0 = group.of(one.h_0);
      one.h_0_bar = group.of(one.h_0_bar);
      one.last_bar = group.of(one.last_bar);
      if (groups > 1) share_of.give(one, memory);
      memory += share_of.size();
    }
    const Status result = derive_group<T, F>(own, group, weights, within);
    if (result != Status::ok) status = result;
  });
  if (groups == 1 || asked[0].weight_bar == nullptr) return status;
  share(parallel, count * H, groups * bytes > kWorthGathering, [&](int64_t task) {
    const int64_t k = task / H, j = task % H;
    const auto gather = [&](T* to, int64_t offset, int64_t size) {
      for (int64_t g = 0; g < groups; ++g) {
        const T* from = shares.get() + (g * count + k) * share_of.size() + offset;
        for (int64_t i = 0; i < size; ++i) to[i] = g == 0 ? from[i] : to[i] + from[i];
      }
    };
    gather(asked[k].weight_bar + j * H, j * H, H);
    gather(asked[k].x_weight_bar + j * K, H * H + j * K, K);
    if (asked[k].bias_bar != nullptr) gather(asked[k].bias_bar + j, H * H + H * K + j, 1);
  });
  return status;
}

}  // namespace
}  // namespace elman
