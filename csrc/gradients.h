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
        rows_of_h_(asked.weight_bar != nullptr ? most_rows : 0, H_, kManyRows.widest),
        rows_of_x_(asked.weight_bar != nullptr ? most_rows : 0, asked.K, kManyRows.widest) {
    for (Buffer<T>& delta : delta_) delta = buffer<T>(most_rows * H_);
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
    if (lambda_) add_gates(rows);
    if (asked_.norm_weight_bar != nullptr) add_norm(rows);
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
    for (int64_t t = first_; t < first_ + stretch_.L; ++t) {
      const int64_t before = asked_.reverse ? t - 1 : t + 1;
      const int64_t rows = group_.live(t), going = std::min(rows, group_.live(before));
      const T* h = going > 0 ? step_of(asked_.h, before) : nullptr;
      const T* x = step_of(asked_.x, t);
      T* x_bar = step_of(asked_.x_bar, t);
      const Across<T> q(asked_.gates.q, t), left(asked_.gates.r, t);
      for (int64_t r = 0; r < rows; ++r, delta += H_) {
        const T* state = r < going ? h + r * asked_.h.row : asked_.h_0.data + r * asked_.h_0.row;
        if (lambda_) {
          states_.push_back(state);
          left_.push_back(left.row(r));
          y_.push_back(step_of(asked_.y, t) + r * asked_.y.row);
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
        if (left.here()) state *= left.at(j, n);
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
  const int64_t H_;
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

// What a group adds up on its own: W̄, W̄x, b̄, ḡ, γ̄ and β̄ of each scan, one after the other.
template <class T>
struct Share {
  int64_t H, K;
  int64_t matrices() const { return H * H + H * K; }
  int64_t size() const { return matrices() + 4 * H; }
  void give(Gradients<T>& to, T* memory) const {
    if (to.g_bar != nullptr) to.g_bar = memory + matrices() + H;
    if (to.norm_weight_bar != nullptr) to.norm_weight_bar = memory + matrices() + 2 * H;
    if (to.norm_bias_bar != nullptr) to.norm_bias_bar = memory + matrices() + 3 * H;
    if (to.weight_bar == nullptr) return;
    to.weight_bar = memory;
    to.x_weight_bar = memory + H * H;
    if (to.bias_bar != nullptr) to.bias_bar = memory + matrices();
  }
};

template <class T, class Finish>
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
    const Status status = recur<T, Finish>(now, stretches, parallel, weights);
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

template <class T, class Finish>
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
      one.y = group.of(one.y);
      one.lambda = group.of(one.lambda);
      one.normed = group.of(one.normed);
      one.scales = group.of(one.scales);
      one.gates = {group.of(one.gates.g), group.of(one.gates.q), group.of(one.gates.e),
                   group.of(one.gates.r)};
      if (groups > 1) share_of.give(one, memory);
      memory += share_of.size();
    }
    const Status result = derive_group<T, Finish>(own, group, weights, within);
    if (result != Status::ok) status = result;
  });
  const bool sums = asked[0].weight_bar != nullptr || asked[0].g_bar != nullptr ||
                    asked[0].norm_weight_bar != nullptr;
  if (groups == 1 || !sums) return status;
  share(parallel, count * H, groups * bytes > kWorthGathering, [&](int64_t task) {
    const int64_t k = task / H, j = task % H;
    const auto gather = [&](T* to, int64_t offset, int64_t size) {
      for (int64_t g = 0; g < groups; ++g) {
        const T* from = shares.get() + (g * count + k) * share_of.size() + offset;
        for (int64_t i = 0; i < size; ++i) to[i] = g == 0 ? from[i] : to[i] + from[i];
      }
    };
    int64_t offset = share_of.matrices() + j;
    for (T* sum :
         {asked[k].bias_bar, asked[k].g_bar, asked[k].norm_weight_bar, asked[k].norm_bias_bar}) {
      if (sum != nullptr) gather(sum + j, offset, 1);
      offset += H;
    }
    if (asked[k].weight_bar == nullptr) return;
    gather(asked[k].weight_bar + j * H, j * H, H);
    gather(asked[k].x_weight_bar + j * K, H * H + j * K, K);
  });
  return status;
}

}  // namespace
}  // namespace elman
