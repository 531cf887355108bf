// What a GPU can do and C++ has no word for: one function each, nothing more.
//
// The scan (scan.cuh) says everything else in plain C++, so that a machine without a GPU can run it
// too, with functions of these names of its own: tests/ops/emulator.h.

/** An address of shared memory, in bytes. */
using Place = unsigned;

__device__ inline Place in_shared(const void* local) {
  return static_cast<Place>(__cvta_generic_to_shared(local));
}

/** Have it in a register from here on, and not told from what it was made of each time. */
__device__ inline void keep(int& number) { asm("" : "+r"(number)); }
__device__ inline void keep(unsigned& number) { asm("" : "+r"(number)); }
__device__ inline void keep(long long& number) { asm("" : "+l"(number)); }

// --- numbers of 16 bits ------------------------------------------------------------------------

/** The nearest bfloat16, as bits. */
__device__ inline unsigned short to_bfloat16(float z) {
  unsigned short bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(z));
  return bits;
}

/** The nearest float16, as bits. */
__device__ inline unsigned short to_float16(float z) {
  unsigned short bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(z));
  return bits;
}

__device__ inline float from_bfloat16(unsigned short bits) {
  return __uint_as_float(static_cast<unsigned>(bits) << 16);
}

__device__ inline float from_float16(unsigned short bits) {
  float z;
  asm("cvt.f32.f16 %0, %1;" : "=f"(z) : "h"(bits));
  return z;
}

/** 2 to the power z, and 1 / z, by the special units, to two units in the last place. */
__device__ inline float power_of_two(float z) {
  float power;
  asm volatile("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(z));  // volatile: no branch
  return power;
}
__device__ inline float one_over(float z) {
  float inverse;
  asm volatile("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(z));
  return inverse;
}

// --- shared memory -----------------------------------------------------------------------------

/** The shared memory of this block, as much as it was launched with. */
__device__ inline char* shared_memory() {
  extern __shared__ __align__(16) char memory[];
  return memory;
}

// --- copies from memory that nobody waits for yet ------------------------------------------------

/** Begin to copy 4 bytes to shared memory. */
__device__ inline void copy_ahead(unsigned* to, const void* from) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(in_shared(to)), "l"(from)
               : "memory");
}

/** What this thread has begun to copy since the last time is one group. */
__device__ inline void close_ahead() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/** Wait until all of this thread's groups are there but the last so many. */
template <int MANY>
__device__ inline void wait_ahead() {
  asm volatile("cp.async.wait_group %0;" ::"n"(MANY) : "memory");
}

// --- tensor cores ------------------------------------------------------------------------------

/** sum += a b, of (16, 16) by (16, 8): `mma.m16n8k16` in the PTX manual says who has which part. */
template <bool BFLOAT>
__device__ inline void multiply_tiles(float (&sum)[4], const uint4& a, unsigned b0, unsigned b1) {
  if constexpr (BFLOAT) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
  } else {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
  }
}

/** Four tiles of 8 by 8 from shared memory, of which each lane says where one row begins. */
__device__ inline uint4 load_tiles(Place row) {
  uint4 tiles;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(tiles.x), "=r"(tiles.y), "=r"(tiles.z), "=r"(tiles.w)
               : "r"(row)
               : "memory");
  return tiles;
}

// --- a cluster: blocks that write in each other's shared memory --------------------------------

/** The place in the shared memory of another block of the cluster. */
__device__ inline Place at_block(Place place, unsigned block) {
  Place there;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(place), "r"(block));
  return there;
}

/** Every thread of every block of the cluster waits for all the others. */
__device__ inline void wait_for_cluster() {
  asm volatile("barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory");
}

/** A gate counts the bytes that come in; it opens when all that were expected are there. */
using Gate = unsigned long long;

__device__ inline void make(Gate* gate) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(in_shared(gate)) : "memory");
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

/** So many bytes are to come before it opens the next time. */
__device__ inline void expect(Gate* gate, unsigned bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(in_shared(gate)),
               "r"(bytes)
               : "memory");
}

/** Wait until it has opened: `turn` is 0 the first time, 1 the second, and so on by turns. */
__device__ inline void wait(Gate* gate, unsigned turn) {
  asm volatile(
      "{\n"
      ".reg .pred open;\n"
      "AGAIN_%=:\n"
      "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 open, [%0], %1;\n"
      "@!open bra AGAIN_%=;\n"
      "}" ::"r"(in_shared(gate)),
      "r"(turn)
      : "memory");
}

/** Write 16 bytes in another block, and count them at a gate of that block. */
__device__ inline void send(Place to, Place gate, const uint4& words) {
  asm volatile(
      "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 "
      "[%0], {%1, %2, %3, %4}, [%5];" ::"r"(to),
      "r"(words.x), "r"(words.y), "r"(words.z), "r"(words.w), "r"(gate)
      : "memory");
}

/** What lies at the same place of another block. */
__device__ inline float of_block(const float* place, unsigned block) {
  float number;
  asm volatile("ld.shared::cluster.f32 %0, [%1];"
               : "=f"(number)
               : "r"(at_block(in_shared(place), block))
               : "memory");
  return number;
}

__device__ inline unsigned block_of_cluster() {
  unsigned rank;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
