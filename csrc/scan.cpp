// The kernels by name. Compiled once for every instruction set, each under a name of its own.
#include "scan.h"

#include "gradients.h"
#include "masks.h"
#include "products.h"
#include "recur.h"
#include "stream.h"

namespace elman {
namespace {

// Without a step, the last state is the first.
template <class T>
void keep_initial(const Scan<T>& scan, int64_t N) {
  for (int64_t r = 0; scan.last.data != nullptr && r < N; ++r) {
    T* const to = scan.last.data + r * scan.last.row;
    if (scan.initial.data == nullptr)
      std::fill(to, to + scan.H, T(0));
    else
      std::memcpy(to, scan.initial.data + r * scan.initial.row, scan.H * sizeof(T));
  }
}

// With so few rows a step, the product with x is made apart from the scan, unless all weights
// together stay in the nearest cache, or in the next.
constexpr int64_t kSome = kManyRows.tallest(kManyRows.widest), kMany = 64;  // rows
constexpr int64_t kNearby = 28 << 10, kAtHand = 1 << 20;                    // bytes

// Whether all rows together are too few to be worth panels, and M can be read where it lies.
template <class T>
bool read_in_place(const Scan<T>& scan, const Time& time) {
  const int64_t rows = rows_in(time);
  return too_few(rows, scan.weight, scan.H) &&
         (scan.x.data == nullptr || too_few(rows, scan.x_weight, scan.H));
}
template <class T>
bool read_in_place(const LinearScan<T>&, const Time&) {
  return false;
}

template <class T, class Finish, class R>
Status run(std::vector<R> scans, const Time& time, Team& team, int64_t K) {
  bool direct = true;
  for (const R& scan : scans) direct = direct && read_in_place(scan, time);
  std::vector<Weights<T>> weights;
  for (const R& scan : scans) {
    const int widest = cut_for(time.N).widest;
    weights.push_back({{scan.H, scan.H, widest, direct}, {K, scan.H, widest, direct}, direct});
    if (!weights.back().ok()) return Status::out_of_memory;
  }
  return recur<T, Finish>(scans, std::vector<Time>(scans.size(), time), team, weights);
}

// out = x Wx, for all steps at once: with few rows a step, that is faster than step by step.
template <class T>
Status multiply_input(Scan<T>& scan, const Time& time, Team& team) {
  const bool direct = too_few(rows_in(time), scan.x_weight, scan.H);
  Panels<T> weight(scan.K, scan.H, kManyRows.widest, direct);
  if (!weight.ok()) return Status::out_of_memory;
  multiply<T>(scan.x, scan.x_weight, weight, direct, scan.out, time, team);
  scan.a = {scan.out.data, scan.out.step, scan.out.row, scan.out.starts};
  scan.x.data = nullptr;
  return Status::ok;
}

template <class T, class Finish>
Status scan_with(const Scan<T>* asked, int64_t count, const Time& time, Team& team) {
  std::vector<Scan<T>> scans(asked, asked + count);
  int64_t K = scans[0].x.data == nullptr ? 0 : scans[0].K;
  const int64_t bytes = (K + scans[0].H) * scans[0].H * static_cast<int64_t>(sizeof(T));
  const int64_t enough = bytes <= kNearby ? 1 : bytes <= kAtHand ? kSome : kMany;
  if (K > 0 && scans[0].a.data == nullptr && time.L > 1 && time.N < enough) {
    for (Scan<T>& scan : scans) {
      const Status status = multiply_input(scan, time, team);
      if (status != Status::ok) return status;
    }
    K = 0;
  }
  return run<T, Finish>(std::move(scans), time, team, K);
}

// Calls with the type that serves f: the one among `Own` that is made for it, or else Any.
template <class F>
struct Type {
  using type = F;
};
template <class T, class... Own, class Call>
Status with_f(const Activation& f, Call call) {
  Status status = Status::ok;
  const bool done = f.bound <= 0 && ((f.f == Own::kF && (status = call(Type<Own>{}), true)) || ...);
  return done ? status : call(Type<Any<T>>{});
}

// Whether f gives something else than the states in any of them, or sees something else than sums.
template <class R>
bool carries(const R* scans, int64_t count) {
  return std::any_of(scans, scans + count,
                     [](const R& one) { return one.gates.carry() || one.norm.here(); });
}

// Whether g stands alone in all of them, but for q.
template <class T>
bool blends(const Scan<T>* scans, int64_t count) {
  return std::all_of(scans, scans + count, [](const Scan<T>& one) {
    return one.gates.g.here() && !one.gates.e.here() && !one.gates.r.here() && !one.norm.here();
  });
}

// Whether there is a gate or a norm in any of them.
template <class R>
bool gated(const R* scans, int64_t count) {
  return carries(scans, count) ||
         std::any_of(scans, scans + count, [](const R& one) { return one.gates.inside(); });
}

bool empty(const Time& time) { return time.L == 0 || time.N == 0; }

template <class T>
Status scan(const Scan<T>* scans, int64_t count, Time time, Parallel parallel) {
  Team team(parallel);
  for (int64_t k = 0; empty(time) && k < count; ++k) keep_initial(scans[k], time.N);
  if (empty(time)) return Status::ok;
  const Activation& f = scans[0].f;
  if (blends(scans, count))
    return with_f<T, Tanh, Relu>(f, [&](auto type) {
      return scan_with<T, Blend<T, typename decltype(type)::type>>(scans, count, time, team);
    });
  if (carries(scans, count))  // q and r alone are within the product
    return with_f<T, Tanh>(f, [&](auto type) {
      return scan_with<T, Gate<T, typename decltype(type)::type>>(scans, count, time, team);
    });
  return with_f<T, Tanh, Relu, Identity>(f, [&](auto type) {
    return scan_with<T, Activate<T, typename decltype(type)::type>>(scans, count, time, team);
  });
}

template <class T>
Status linear_scan(const LinearScan<T>* scans, int64_t count, Time time, Parallel parallel) {
  Team team(parallel);
  if (empty(time)) return Status::ok;
  return run<T, Combine<T>>(std::vector<LinearScan<T>>(scans, scans + count), time, team, 0);
}

// From so many rows of so many bytes on, h and h̄ are better read whole rows at a time: they come
// from far away, and a tile takes a few columns of many.
constexpr int64_t kWholeRows = 16, kLongRow = 256;

template <class T>
Status gradients(const Gradients<T>* asked, int64_t count, Time time, Parallel parallel) {
  Team team(parallel);
  const Activation& f = asked[0].f;
  if (gated(asked, count) || asked[0].lambda.data != nullptr)
    return with_f<T, Tanh, Relu>(f, [&](auto type) {
      return derive<T, GateBack<T, typename decltype(type)::type>>(asked, count, time, team);
    });
  if (time.N >= kWholeRows && asked[0].H * static_cast<int64_t>(sizeof(T)) > kLongRow)
    return with_f<T, Tanh, Relu, Identity>(f, [&](auto type) {
      return derive<T, RowBack<T, typename decltype(type)::type>>(asked, count, time, team);
    });
  return with_f<T, Tanh, Relu, Identity>(f, [&](auto type) {
    return derive<T, Back<T, typename decltype(type)::type>>(asked, count, time, team);
  });
}

template <class T>
constexpr KernelsOf<T> kernels_of() {
  return {scan<T>,        linear_scan<T>,  gradients<T>,   open_stream<T>,
          step_stream<T>, stream_state<T>, close_stream<T>};
}

}  // namespace

#define ELMAN_JOINED(a, b) a##b
#define ELMAN_NAMED(isa) ELMAN_JOINED(kernels_, isa)
#define ELMAN_TEXT(x) #x
#define ELMAN_QUOTED(x) ELMAN_TEXT(x)

extern const Kernels ELMAN_NAMED(ELMAN_ISA);
const Kernels ELMAN_NAMED(ELMAN_ISA){ELMAN_QUOTED(ELMAN_ISA), draw_mask, kernels_of<float>(),
                                     kernels_of<double>()};

}  // namespace elman
