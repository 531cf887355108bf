// All derivatives of a scan, from its last step to its first.
//
// The batch is cut into groups of rows, told from the sizes alone, and each group's share of the
// weights' gradients is summed on its own: threads take groups, find all they need in their own
// cache, and the result does not depend on how many they are. Within a group the δ_t live for a
// stretch of steps at a time, long enough that the products over their rows run at full speed,
// short enough to stay in cache: no memory is needed that grows with L.
#pragma once

#include "derivation.h"

namespace elman {
namespace {

constexpr int64_t kRowsOfStretch = 168;                // a panel of them stays in the nearest cache
constexpr int64_t kFar = 3 << 20, kRowsIfFar = 256;    // bytes of W̄ and W̄x that come from far away
constexpr int64_t kSharesBytes = 16 << 20;             // what the groups' own gradients may take
constexpr int64_t kMostGroups = 16, kRowsOfGroup = 8;  // rows in a step
constexpr int64_t kAllRowsOfGroup = 640;      // rows in all: below, summing up takes too long
constexpr int64_t kWorthGathering = 1 << 18;  // bytes for more than one thread to sum up

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
                    std::vector<Weights<T>>& weights, Team& team) {
  const int64_t L = group.time().L, N = group.time().N;
  const int64_t bytes = asked[0].H * (asked[0].H + asked[0].K) * static_cast<int64_t>(sizeof(T));
  const int64_t rows = std::max(N, bytes > kFar ? kRowsIfFar : kRowsOfStretch);
  std::vector<Derivation<T>> parts;
  parts.reserve(asked.size());
  for (size_t k = 0; k < asked.size(); ++k) {
    parts.emplace_back(asked[k], group, weights[k].x_weight, std::min(rows, L * N));
    if (!parts[k].ok()) return Status::out_of_memory;
  }
  for (int64_t done = 0, length = 0; done < L; done += length) {
    length = L - done;
    for (const Derivation<T>& part : parts) length = part.steps_in(rows, done, length);
    std::vector<Backward<T>> now;
    std::vector<Time> stretches;
    for (Derivation<T>& part : parts) {
      now.push_back(part.next(done, length));
      stretches.push_back(part.stretch());
    }
    const Status status = recur<T, Finish>(now, stretches, team, weights);
    if (status != Status::ok) return status;
    for (Derivation<T>& part : parts) part.use(team);
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
              Team& team) {
  const bool weight = time.L > 1 || asked[0].h_0_bar.data != nullptr;
  const bool x_weight = asked[0].x_bar.data != nullptr;
  const int64_t panels = weights[0].weight.count(), all = panels + weights[0].x_weight.count();
  const double work = static_cast<double>(asked[0].H) * static_cast<double>(asked[0].H);
  team.share(static_cast<int64_t>(weights.size()) * all, work > kWorthPacking * team.threads(),
             [&](int64_t task) {
               const int64_t k = task / all, panel = task % all;
               if (panel < panels && weight) weights[k].weight.fill(asked[k].weight, panel);
               if (panel >= panels && x_weight)
                 weights[k].x_weight.fill(asked[k].x_weight, panel - panels);
             });
  for (Weights<T>& w : weights) w.packed = true;
}

template <class T, class Finish>
Status derive(const Gradients<T>* asked, int64_t count, const Time& time, Team& team) {
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
  pack_all(asked, weights, time, team);
  const Buffer<T> shares = buffer<T>(groups > 1 ? groups * count * share_of.size() : 0);
  if (!shares) return Status::out_of_memory;
  std::atomic<Status> status{Status::ok};
  const double work = static_cast<double>(rows_in(time) * H) * static_cast<double>(2 * (H + K));
  const bool by_groups = groups >= team.threads();
  team.share(groups, by_groups && team.worth(work), [&](int64_t g) {
    const Group group(time, Rows{0, 1, N}.part(g, groups, time.batch_sizes != nullptr));
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
    const Status result = derive_group<T, Finish>(own, group, weights, team);
    if (result != Status::ok) status = result;
  });
  const bool sums = asked[0].weight_bar != nullptr || asked[0].g_bar != nullptr ||
                    asked[0].norm_weight_bar != nullptr;
  if (groups == 1 || !sums) return status;
  team.share(count * H, groups * bytes > kWorthGathering, [&](int64_t task) {
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
