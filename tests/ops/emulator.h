// A GPU's threads on one thread of a processor: what src/elman/ops/cuda/ptx.cuh has, for testing.
//
// Every thread of a cluster is a fiber, which runs until it waits. Who is next is drawn by lot, and
// so is when something sent arrives, so that whoever does not wait for what he needs is found out;
// and where everybody waits for ever, that is said.
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#define __device__
#define __global__
#define __grid_constant__

struct uint4 {
  unsigned x, y, z, w;
};
struct float4 {
  float x, y, z, w;
};

namespace emulated {

struct Barrier {
  int arrived = 0, turn = 0;
};

struct Warp {
  Barrier barrier;
  unsigned char slots[32][64];
};

struct Block {
  std::vector<uint64_t> memory;
  Barrier barrier;
  std::vector<Warp> warps;
};

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack;
  int thread, block;
  bool done = false;
  std::deque<std::vector<std::pair<void*, const void*>>> begun{1};  // what it copies, in groups
};

struct Sent {
  void* to;
  uint64_t* gate;
  uint4 words;
};

inline std::vector<Fiber> fibers;
inline std::vector<Block> blocks;
inline std::vector<Sent> under_way;
inline Barrier of_cluster;
inline Fiber* now;
inline ucontext_t scheduler;
inline std::mt19937 lot;
inline int cluster, clusters, threads;
inline unsigned long went_on;  // how often a fiber did, or something arrived
inline std::function<void()> body;

/** Let others run until that is so. */
template <class Condition>
void until(Condition condition) {
  while (!condition()) swapcontext(&now->context, &scheduler);
  ++went_on;
}

inline void all_of(Barrier& barrier, int many) {
  const int turn = barrier.turn;
  if (++barrier.arrived == many) {
    barrier.arrived = 0;
    ++barrier.turn;
  }
  until([&] { return barrier.turn != turn; });
}

inline Block& block() { return blocks[now->block]; }
inline Warp& warp() { return block().warps[now->thread / 32]; }

/** What all lanes of a warp have, once all have come. */
template <class T>
std::vector<T> shared_by_warp(const T& mine) {
  static_assert(sizeof(T) <= 64);
  Warp& own = warp();
  std::memcpy(own.slots[now->thread % 32], &mine, sizeof(T));
  all_of(own.barrier, 32);
  std::vector<T> found(32);
  for (int lane = 0; lane < 32; ++lane) std::memcpy(&found[lane], own.slots[lane], sizeof(T));
  all_of(own.barrier, 32);
  return found;
}

/** The same place in another block's shared memory. */
template <class T>
T* there(T* place, int other) {
  const auto distance =
      reinterpret_cast<const char*>(place) - reinterpret_cast<const char*>(block().memory.data());
  return reinterpret_cast<T*>(reinterpret_cast<char*>(blocks[other].memory.data()) + distance);
}

struct Counted {  // in the place of a gate
  int16_t turn, missing;
  int32_t bytes;
};

inline void change(uint64_t* gate, int arrivals, int bytes) {
  Counted state;
  std::memcpy(&state, gate, sizeof state);
  state.missing -= arrivals;
  state.bytes += bytes;
  if (state.missing == 0 && state.bytes == 0) {
    ++state.turn;
    state.missing = 1;
  }
  std::memcpy(gate, &state, sizeof state);
}

inline void trampoline() {
  body();
  now->done = true;
  ++went_on;
  swapcontext(&now->context, &scheduler);
}

/** Run one cluster; whether it came to an end. */
inline bool run(int number, int size, int many, int bytes, std::function<void()> kernel) {
  cluster = number, threads = many, body = std::move(kernel);
  blocks.assign(size, {});
  for (Block& one : blocks) {
    one.memory.assign(bytes / 8 + 1, 0x7fc07fc07fc07fc0);  // NaN, however it is read
    one.warps.resize(many / 32);
  }
  under_way.clear();
  of_cluster = {};
  fibers.clear();
  fibers.resize(size * many);
  constexpr int kStack = 128 * 1024;
  for (int k = 0; k < size * many; ++k) {
    Fiber& fiber = fibers[k];
    fiber.thread = k % many, fiber.block = k / many;
    fiber.stack.reset(new char[kStack]);
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStack;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, trampoline, 0);
  }
  std::vector<Fiber*> alive;
  for (Fiber& fiber : fibers) alive.push_back(&fiber);
  while (!alive.empty()) {
    std::shuffle(alive.begin(), alive.end(), lot);
    const unsigned long before = went_on;
    for (Fiber* fiber : alive) {
      now = fiber;
      swapcontext(&scheduler, &fiber->context);
    }
    alive.erase(std::remove_if(alive.begin(), alive.end(), [](Fiber* f) { return f->done; }),
                alive.end());
    // one in eight arrives, and one at least where everybody waits
    std::shuffle(under_way.begin(), under_way.end(), lot);
    size_t arrive = under_way.size() / 8;
    if (went_on == before && !under_way.empty()) arrive += 1;
    for (size_t k = 0; k < arrive; ++k) {
      std::memcpy(under_way.back().to, &under_way.back().words, sizeof(uint4));
      change(under_way.back().gate, 0, -16);
      under_way.pop_back();
      ++went_on;
    }
    if (went_on == before) {
      std::fprintf(stderr, "every thread waits for another\n");
      return false;
    }
  }
  return under_way.empty();
}

struct Index {
  struct {
    operator int() const { return now->thread; }
  } x;
};
struct BlockIndex {
  struct {
    operator int() const { return cluster * static_cast<int>(blocks.size()) + now->block; }
  } x;
};

struct GridSize {
  struct {
    operator int() const { return clusters * static_cast<int>(blocks.size()); }
  } x;
};

inline float from_bits(unsigned bits) {
  float z;
  std::memcpy(&z, &bits, 4);
  return z;
}

}  // namespace emulated

#define threadIdx (emulated::Index{})
#define blockIdx (emulated::BlockIndex{})
#define gridDim (emulated::GridSize{})

inline void __syncthreads() { emulated::all_of(emulated::block().barrier, emulated::threads); }

inline void __threadfence() {}

inline unsigned atomicAdd(unsigned* at, unsigned more) { return (*at += more) - more; }

inline unsigned __float_as_uint(float z) {
  unsigned bits;
  std::memcpy(&bits, &z, 4);
  return bits;
}

inline float __uint_as_float(unsigned bits) { return emulated::from_bits(bits); }

// --- as ptx.cuh --------------------------------------------------------------------------------

inline unsigned short to_bfloat16(float z) {
  const unsigned bits = __float_as_uint(z);
  if (z != z) return 0x7fff;
  return static_cast<unsigned short>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
inline float from_bfloat16(unsigned short bits) {
  return emulated::from_bits(unsigned{bits} << 16);
}
inline unsigned short to_float16(float z) {
  const _Float16 half = z;
  unsigned short bits;
  std::memcpy(&bits, &half, 2);
  return bits;
}
inline float from_float16(unsigned short bits) {
  _Float16 half;
  std::memcpy(&half, &bits, 2);
  return half;
}

template <class T>
void keep(T&) {}

inline float power_of_two(float z) { return std::exp2(z); }
inline float one_over(float z) { return 1 / z; }

inline void copy_ahead(unsigned* to, const void* from) {
  emulated::now->begun.back().push_back({to, from});
}
inline void close_ahead() { emulated::now->begun.emplace_back(); }
template <int MANY>
void wait_ahead() {
  auto& groups = emulated::now->begun;  // the last of which is open
  while (groups.size() > MANY + 1) {
    for (auto [to, from] : groups.front()) std::memcpy(to, from, 4);
    groups.pop_front();
  }
}

template <bool BFLOAT>
void multiply_tiles(float (&sum)[4], const uint4& a, unsigned b0, unsigned b1) {
  struct Operands {
    unsigned a[4], b[2];
  };
  const auto all = emulated::shared_by_warp(Operands{{a.x, a.y, a.z, a.w}, {b0, b1}});
  auto half = [](unsigned word, int which) {
    const unsigned short bits = static_cast<unsigned short>(word >> 16 * which);
    return BFLOAT ? from_bfloat16(bits) : from_float16(bits);
  };
  const int lane = emulated::now->thread % 32;
  for (int i = 0; i < 4; ++i) {
    const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
    for (int k = 0; k < 16; ++k) {
      const unsigned of_a = all[row % 8 * 4 + k % 8 / 2].a[row / 8 + k / 8 * 2];
      const unsigned of_b = all[column * 4 + k % 8 / 2].b[k / 8];
      sum[i] += half(of_a, k % 2) * half(of_b, k % 2);
    }
  }
}

using Place = const char*;
inline Place in_shared(const void* local) { return static_cast<Place>(local); }
inline uint4 load_tiles(Place row) {
  const auto rows = emulated::shared_by_warp(static_cast<const void*>(row));
  const int lane = emulated::now->thread % 32;
  unsigned words[4];
  for (int k = 0; k < 4; ++k)
    words[k] = static_cast<const unsigned*>(rows[8 * k + lane / 4])[lane % 4];
  return {words[0], words[1], words[2], words[3]};
}

inline char* shared_memory() { return reinterpret_cast<char*>(emulated::block().memory.data()); }
inline unsigned block_of_cluster() { return emulated::now->block; }
inline void wait_for_cluster() { emulated::all_of(emulated::of_cluster, emulated::fibers.size()); }

using Gate = unsigned long long;
inline uint64_t* counted(Gate* gate) { return reinterpret_cast<uint64_t*>(gate); }
inline void make(Gate* gate) {
  const emulated::Counted fresh{0, 1, 0};
  std::memcpy(gate, &fresh, sizeof fresh);
}
inline void expect(Gate* gate, unsigned bytes) { emulated::change(counted(gate), 1, bytes); }
inline void wait(Gate* gate, unsigned turn) {
  emulated::until([&] {
    emulated::Counted state;
    std::memcpy(&state, gate, sizeof state);
    return (state.turn & 1) != static_cast<int>(turn);
  });
}
inline float of_block(const float* place, unsigned block) { return *emulated::there(place, block); }
inline Place at_block(Place place, unsigned block) { return emulated::there(place, block); }
inline void send(Place to, Place gate, const uint4& words) {
  auto writable = [](Place place) { return const_cast<char*>(place); };
  auto* counted = reinterpret_cast<uint64_t*>(writable(gate));
  emulated::under_way.push_back({writable(to), counted, words});
}
