// Random problems for the kernels, every result held against a plain loop in double.
//
//   fuzz SEED ROUNDS [FIRST]      rounds FIRST, FIRST + 1, ... of a seed; each stands alone
//
// Made to be run under sanitizers. Each problem runs with every instruction set this machine has,
// on one thread and on several, which must give the same bits. Prints what it tries, so the last
// line is what failed.
#include <cfloat>
#include <cstring>

#include "../../csrc/kernels.h"
#include "cases.h"
#include "pool.h"

// What the sanitizers ask for their options. Memory that malloc gives is NaN, the kernels' own too.
extern "C" {
const char* __asan_default_options() {
  return "malloc_fill_byte=255:max_malloc_fill_size=1000000000";
}
const char* __ubsan_default_options() { return "print_stacktrace=1"; }
const char* __tsan_default_options() { return "halt_on_error=1"; }
}

namespace elman {
namespace {

constexpr Parallel kSplit[] = {{1, split<1>}, {2, split<2>}, {3, split<3>}, {4, split<4>}};
constexpr Parallel kLate[] = {
    {1, split<1>}, {2, split<2, 200>}, {3, split<3, 100>}, {4, split<4, 50>}};

// --- one problem -----------------------------------------------------------------------------

template <class T>
const KernelsOf<T>& kernels_of() {
  if constexpr (sizeof(T) == 4)
    return kernels().f32;
  else
    return kernels().f64;
}

// The results, in fresh memory.
template <class T>
Memory<T> run(const Case<T>& one, const Parallel& parallel) {
  std::puts(problem.c_str());
  std::fflush(stdout);  // a sanitizer ends the program as it stands
  Memory<T> to;
  for (const Result<T>& result : one.results) {
    to.emplace_back(new T[result.start.place.size]);
    std::copy_n(result.start.memory.get(), result.start.place.size, to.back().get());
  }
  if (one.call(kernels_of<T>(), to, parallel) != Status::ok) fail("out of memory");
  volatile double smallest = DBL_MIN;
  if (smallest / 2 == 0) fail("subnormal numbers are still zero");
  return to;
}

template <class T>
void check(const Case<T>& one, const Memory<T>& got) {
  for (size_t k = 0; k < got.size(); ++k) {
    const Result<T>& result = one.results[k];
    for (int64_t i = 0; i < result.start.place.size; ++i) {
      const T *is = &got[k][i], *was = &result.start.memory[i];
      const double expected = result.expected[i];
      const bool right = std::isnan(expected) ? std::memcmp(is, was, sizeof(T)) == 0
                                              : std::abs(*is - expected) <= result.tolerance;
      if (right) continue;
      char how[200];
      std::snprintf(how, sizeof how, "%s[%lld] should be %.17g within %.2g, is %.17g",
                    result.name.c_str(), static_cast<long long>(i), expected, result.tolerance,
                    static_cast<double>(*is));
      fail(how);
    }
  }
}

template <class T>
void same(const Case<T>& one, const Memory<T>& a, const Memory<T>& b) {
  for (size_t k = 0; k < a.size(); ++k)
    if (std::memcmp(a[k].get(), b[k].get(), one.results[k].start.place.size * sizeof(T)) != 0)
      fail(one.results[k].name + " is not what one thread makes of it");
}

// On one thread and on several: as promised, with none of them coming, or two calls at once.
template <class T>
void run_all(const Case<T>& one, Random random) {
  const std::string drawn = problem;
  for (const char* set : {"plain", "avx2", "avx512"}) {
    if (!use_kernels(set)) continue;
    problem = drawn + ", " + set + ", 1 thread";
    const Memory<T> alone = run(one, kSplit[0]);
    check(one, alone);
    const int threads = static_cast<int>(random.from_to(2, 4));
    const bool late = random.chance(40);
    const Parallel several = (late ? kLate : kSplit)[threads - 1];
    problem =
        drawn + ", " + set + ", " + std::to_string(threads) + (late ? " late" : "") + " threads";
    if (random.chance(25)) {
      problem += " that do not come";
      same(one, alone, run(one, {threads, stay}));
      continue;
    }
    Memory<T> meanwhile;
    const bool twice = random.chance(30);
    if (twice) problem += " twice at once";
    std::thread other([&] {
      if (twice) meanwhile = run(one, several);
    });
    const Memory<T> ours = run(one, several);
    other.join();
    same(one, alone, ours);
    if (twice) same(one, alone, meanwhile);
  }
}

template <class T>
void try_one(Random& random) {
  switch (random.from_to(0, 3)) {
    case 0:
      return run_all(LinearCase<T>(random), random);
    case 1:
      return run_all(ScanCase<T>(random), random);
    default:
      return run_all(GradientsCase<T>(random), random);
  }
}

}  // namespace
}  // namespace elman

int main(int count, char** words) {
  using namespace elman;
  if (count < 3) return std::puts("usage: fuzz SEED ROUNDS [FIRST]"), 2;
  const long long seed = std::atoll(words[1]), rounds = std::atoll(words[2]);
  const long long first = count > 3 ? std::atoll(words[3]) : 0;
  for (long long round = first; round < first + rounds; ++round) {
    problem = "seed " + std::to_string(seed) + " round " + std::to_string(round) + ":";
    Random random(static_cast<uint64_t>(seed), static_cast<uint64_t>(round));
    random.chance(50) ? try_one<float>(random) : try_one<double>(random);
  }
  std::printf("%lld rounds and no difference\n", rounds);
}
