// One scan's part in a group of rows: the δ_t of a stretch of steps, and all that is made of them.
#pragma once

#include "products.h"

namespace elman {
namespace {

constexpr int64_t kFewRowsInAll = 40;         // of a stretch: then no panels are made
constexpr int64_t kColumnsOfTask = 32;        // of δ, in a product over rows
constexpr int64_t kPanelsAtHand = 192 << 10;  // bytes

// So many numbers or a few more, an odd number of the cache's lines: a column of rows so far apart
// lies in all its sets, and not in a few that cannot hold it.
template <class T>
constexpr int64_t odd_lines(int64_t numbers) {
  return ((numbers + kLine<T> - 1) / kLine<T> | 1) * kLine<T>;
}

// A sequence or a factor, so many numbers further on.
template <class S>
S moved(S s, int64_t by) {
  if (s.data != nullptr) s.data += by;
  return s;
}
template <class T>
Factor<T> moved(Factor<T> s, int64_t by) {
  if (s.data != nullptr) s.data += by;
  if (s.flags != nullptr) s.flags += by;
  return s;
}

// The same from step t on.
template <class S>
S from_step(S s, int64_t t) {
  if (s.starts == nullptr) return moved(s, t * s.step);
  s.starts += t;
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
  template <class S>
  S of(S s) const {
    s = moved(s, rows_.first * s.row);
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
        apart_(odd_lines<T>(asked.H)),
        rows_of_h_(asked.weight_bar != nullptr ? most_rows : 0, H_, kManyRows.widest),
        rows_of_x_(asked.weight_bar != nullptr ? most_rows : 0, asked.K, kManyRows.widest) {
    for (Buffer<T>& delta : delta_) delta = buffer<T>(most_rows * apart_);
    const int64_t N = group.time().N;
    if (asked.gates.carry()) carried_ = buffer<T>(N * H_);
    if (asked.gates.inside()) scaled_ = buffer<T>(most_rows * H_);
    if (asked.g_bar != nullptr) lambda_ = buffer<T>(most_rows * H_);
    if (asked.norm.here()) within_ = buffer<T>(most_rows * H_);
    for (T* sum : {asked.g_bar, asked.norm_weight_bar, asked.norm_bias_bar})
      if (sum != nullptr) std::fill(sum, sum + H_, T(0));
    begins_.assign(N, 0);
    begun_ = buffer<T>(group.time().N * H_);
    if (begun_) std::fill(begun_.get(), begun_.get() + group.time().N * H_, T(0));
  }

  bool ok() const {
    return delta_[0] && delta_[1] && begun_ && rows_of_h_.ok() && rows_of_x_.ok() &&
           (carried_ || !asked_.gates.carry()) && (scaled_ || !asked_.gates.inside()) &&
           (lambda_ || asked_.g_bar == nullptr) && (within_ || !asked_.norm.here());
  }
  const Time& stretch() const { return stretch_; }

  // How many steps more, up to `most`, have no more than so many rows in all; at least one.
  int64_t steps_in(int64_t rows, int64_t done, int64_t most) const {
    int64_t steps = 0;
    while (steps < most) {
      const int64_t s = done + steps;
      rows -= group_.live(asked_.reverse ? group_.time().L - 1 - s : s);
      if (rows < 0 && steps > 0) break;
      ++steps;
    }
    return steps;
  }

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
    now.y = from_step(asked_.y, first);
    now.lambda = from_step(asked_.lambda, first);
    now.gates = {from_step(asked_.gates.g, first), from_step(asked_.gates.q, first),
                 from_step(asked_.gates.e, first), from_step(asked_.gates.r, first)};
    now.normed = from_step(asked_.normed, first);
    now.scales = from_step(asked_.scales, first);
    now.carried = {carried_.get(), H_};
    if (within_) now.within = {within_.get(), H_, H_, starts_[0].data()};
    if (lambda_) now.lambda = {lambda_.get(), H_, H_, starts_[0].data()};
    now.out = {delta_[0].get(), apart_, apart_, starts_[0].data()};
    now.resume = {resume_, apart_};
    now.resumed = resumed_;
    const int64_t edge = now.reverse ? 0 : length - 1;  // what the next stretch goes on from
    resume_ = step_of(now.out, edge);
    resumed_ = group_.live(first + edge);
    return now;
  }

  // Everything made of those δ.
  void use(Team& team) {
    const int64_t rows = starts_[0].back();
    const Lines<const T> delta{delta_[0].get(), apart_};
    collect();
    if (lambda_) add_gates(rows);
    if (asked_.norm_weight_bar != nullptr) add_norm(rows);
    const double work = static_cast<double>(rows * H_) * static_cast<double>(H_ + asked_.K);
    const bool worth = team.worth(work);
    if (asked_.x_bar.data != nullptr) {
      constexpr int64_t kRows = 64;  // of a task
      team.share((rows + kRows - 1) / kRows, worth, [&](int64_t task) {
        multiply_rows<T>(
            delta, x_weight_, 0, x_weight_.count(), task * kRows,
            std::min(rows, (task + 1) * kRows), [&](int64_t i) { return x_bar_[i]; }, true);
      });
    }
    if (asked_.weight_bar == nullptr || rows == 0) return;
    const int64_t blocks = (H_ + kColumnsOfTask - 1) / kColumnsOfTask;
    if (rows <= kFewRowsInAll) {
      team.share(blocks, worth, [&](int64_t task) {
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
    team.share(all, worth, [&](int64_t k) {
      if (k < panels)
        rows_of_h_.fill_lines([&](int64_t i) { return h_before_[i]; }, k);
      else
        rows_of_x_.fill_lines([&](int64_t i) { return x_[i]; }, k - panels);
    });
    // all columns of δ pass by a few panels at a time, that stay in the second cache
    const int64_t bytes = rows * kManyRows.widest * kLanes<T> * static_cast<int64_t>(sizeof(T));
    const int64_t few = std::min(all, std::max<int64_t>(1, kPanelsAtHand / bytes));
    team.share(all * blocks, worth, [&](int64_t task) {
      const int64_t first = task / (few * blocks) * few, here = std::min(few, all - first);
      const int64_t within = task - first * blocks, k = first + within % here;
      const int64_t begin = within / here * kColumnsOfTask;
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

  // When every step is done: h̄_0, which is δ of each row's first step × W, between its gates.
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
    for (int64_t r = 0; asked_.gates.any() && r < live; ++r) {
      const Across<T> q = Across<T>(asked_.gates.q, begins_[r]).row(r);
      const Across<T> left = Across<T>(asked_.gates.r, begins_[r]).row(r);
      T* const row = to.data + r * to.row;
      if (scaled_) scale_row<T>(q, left, row, H_, row);
      for (int64_t j = 0; carried_ && j < H_; ++j) row[j] += carried_.get()[r * H_ + j];
    }
    const Lines<const T>& last = asked_.last_bar;
    for (int64_t r = live; r < group_.time().N; ++r)  // of a row without a step h_n is h_0
      for (int64_t j = 0; j < H_; ++j)
        to.data[r * to.row + j] = last.data == nullptr ? T(0) : last.data[r * last.row + j];
  }

 private:
  // Row by row of a stretch: h before the step, in the direction of the scan, as the product saw
  // it, x and x̄; and δ where a row begins.
  void collect() {
    h_before_.clear();
    states_.clear();
    left_.clear();
    normed_.clear();
    y_.clear();
    x_.clear();
    x_bar_.clear();
    const T* delta = delta_[0].get();
    const Sequence<const T>& y = asked_.y.data == nullptr ? asked_.h : asked_.y;
    for (int64_t t = first_; t < first_ + stretch_.L; ++t) {
      const int64_t before = asked_.reverse ? t - 1 : t + 1;
      const int64_t rows = group_.live(t), going = std::min(rows, group_.live(before));
      const T* h = going > 0 ? step_of(asked_.h, before) : nullptr;
      const T* x = step_of(asked_.x, t);
      T* x_bar = step_of(asked_.x_bar, t);
      const Across<T> q(asked_.gates.q, t), left(asked_.gates.r, t);
      for (int64_t r = 0; r < rows; ++r, delta += apart_) {
        const T* state = r < going ? h + r * asked_.h.row : asked_.h_0.data + r * asked_.h_0.row;
        if (lambda_) {
          states_.push_back(state);
          left_.push_back(left.row(r));
          y_.push_back(step_of(y, t) + r * y.row);
        }
        if (within_) normed_.push_back(step_of(asked_.normed, t) + r * asked_.normed.row);
        if (scaled_) {
          T* const inside = scaled_.get() + static_cast<int64_t>(h_before_.size()) * H_;
          scale_row<T>(q.row(r), left.row(r), state, H_, inside);
          state = inside;
        }
        h_before_.push_back(state);
        x_.push_back(x + r * asked_.x.row);
        if (x_bar != nullptr) x_bar_.push_back(x_bar + r * asked_.x_bar.row);
        if (r < going) continue;
        std::memcpy(begun_.get() + r * H_, delta, H_ * sizeof(T));
        begins_[r] = t;
      }
    }
  }

  // Σ λ ⊙ (y - r ⊙ h before) over the rows of a stretch
  void add_gates(int64_t rows) {
    T* const g_bar = asked_.g_bar;
    for (int64_t i = 0; i < rows; ++i) {
      const T *const lambda = lambda_.get() + i * H_, *const y = y_[i], *const before = states_[i];
      const Across<T>& left = left_[i];
      vectors<T>(0, H_, [&](int64_t j, int64_t n) ELMAN_INLINE {
        Vec<T> state = load(before + j, n);
        if (left.here()) state = left.times(state, j, n);
        store(g_bar + j, load(g_bar + j, n) + load(lambda + j, n) * (load(y + j, n) - state), n);
      });
    }
  }

  // Σ within ⊙ ẑ and Σ within over the rows of a stretch
  void add_norm(int64_t rows) {
    T *const weight = asked_.norm_weight_bar, *const bias = asked_.norm_bias_bar;
    for (int64_t i = 0; i < rows; ++i) {
      const T *const within = within_.get() + i * H_, *const normed = normed_[i];
      vectors<T>(0, H_, [&](int64_t j, int64_t n) ELMAN_INLINE {
        const Vec<T> v = load(within + j, n);
        store(weight + j, load(weight + j, n) + v * load(normed + j, n), n);
        store(bias + j, load(bias + j, n) + v, n);
      });
    }
  }

  const Gradients<T> asked_;
  const Group& group_;
  const Panels<T>& x_weight_;
  const int64_t H_, apart_;  // apart_: numbers from one δ to the next
  Buffer<T> delta_[2], begun_, carried_, scaled_, lambda_, within_;
  std::vector<int64_t> begins_;  // the step at which each row does
  std::vector<int64_t> starts_[2];
  Panels<T> rows_of_h_, rows_of_x_;
  bool summing_ = false;  // the weights' gradients have a first part already
  Time stretch_{};
  int64_t first_ = 0;
  const T* resume_ = nullptr;
  int64_t resumed_ = 0;
  std::vector<const T*> h_before_, states_, y_, normed_, x_;
  std::vector<Across<T>> left_;
  std::vector<T*> x_bar_;
};

}  // namespace
}  // namespace elman
