// Some matrix products in one launch: what a small layer needs beside its scan.
//
//     c = a b + more        and, of the same a, its sums over k
//
// Not faster than cuBLAS at any of them, but a small layer's time is what it takes to ask for them
// one by one. A cluster has a tile of one of the products; its blocks share k out and add up what
// they have in a fixed order. Where k is long, several clusters share it out first: each leaves its
// sums in memory, and whichever is the last to do so adds all of them up, in a fixed order too. Of
// many tiles every block has one to itself.

constexpr int THREADS = 256, SIDE = 64, DEEP = 16, EACH = 4;
constexpr int PADDED = SIDE + 4;

/** One product, of (M, K) and (K, N); the first rows of b lie elsewhere than the rest. */
struct Job {
  const Number* a;
  const Number* b[2];
  Number* c;
  const Number* more[2];  // (N,) each, added to every row of c, or nothing
  Number* sums[2];        // (M,) each, where the sums of a go, or nothing
  float* left;            // what the clusters of a tile leave, one after another
  unsigned* tickets;      // for each tile how many have left theirs; 0 at first
  long long a_m, a_k, b_k[2], b_n, c_m;
  int M, N, K, first;  // first: rows of b that are of b[0]
  int clusters;        // that share k out; 0: not even the blocks of one do
};

/** What a cluster leaves of a tile: its sums, and those of a. */
constexpr int LEFT = SIDE * SIDE + SIDE;

struct Given {
  Job jobs[MANY];
  int ends[MANY];  // of each job's tiles, among all
};

struct Shared {
  alignas(16) float a[DEEP][PADDED], b[DEEP][PADDED];
  alignas(16) float tile[SIDE][PADDED];
  float sums[SIDE];
  float last;  // whether this cluster was the last of its tile
};

/**
 * A factor's part of a tile, on its way into shared memory by DEEP of k. Each thread has a few
 * numbers, of one k or of one m. Where there are two PARTS, the first of k lie elsewhere.
 */
template <int PARTS>
struct Coming {
  static constexpr int MANY_EACH = SIDE * DEEP / THREADS;
  const Number* at[PARTS];           // the thread's first number, as each part has it
  long long jump[PARTS], on[PARTS];  // from it to the second; and to the first of the next DEEP
  int k, more_k, first, end;         // of the first number; to the second; where parts end
  bool k_first, is[MANY_EACH];       // whether neighbours differ in k; whether there is such an m
  Number numbers[MANY_EACH];

  __device__ Coming(const Number* const* x, const long long* x_k, long long x_m, int first, int begin,
                    int end, int from, int until)
      : first(first), end(end), k_first(x_k[0] == 1 || x_m != 1) {
    const int thread = threadIdx.x;
    const int m = from + (k_first ? thread / DEEP : thread % SIDE);
    const int more_m = k_first ? THREADS / DEEP : 0;
    k = begin + (k_first ? thread % DEEP : thread / SIDE);
    more_k = k_first ? 0 : THREADS / SIDE;
#pragma unroll
    for (int part = 0; part < PARTS; ++part) {
      at[part] = x[part] + m * x_m + (k - part * first) * x_k[part];
      jump[part] = more_m * x_m + more_k * x_k[part];
      on[part] = DEEP * x_k[part];
    }
#pragma unroll
    for (int e = 0; e < MANY_EACH; ++e) is[e] = m + e * more_m < until;
  }
  /** Have the next come; what is not there is zero. */
  __device__ inline void ask() {
#pragma unroll
    for (int e = 0; e < MANY_EACH; ++e) {
      const int own = k + e * more_k;
      const bool later = PARTS > 1 && own >= first;  // chosen without an index, so in registers
      const Number* from = later ? at[PARTS - 1] + e * jump[PARTS - 1] : at[0] + e * jump[0];
      numbers[e] = is[e] && own < end ? *from : rounded(0);
    }
#pragma unroll
    for (int part = 0; part < PARTS; ++part) at[part] += on[part];
    k += DEEP;
  }
  __device__ inline void put(float (&to)[DEEP][PADDED]) const {
    const int thread = threadIdx.x;
#pragma unroll
    for (int e = 0; e < MANY_EACH; ++e) {
      const int index = e * THREADS + thread;
      const int k = k_first ? index % DEEP : index / SIDE;
      const int m = k_first ? index / DEEP : index % SIDE;
      to[k][m] = widened(numbers[e]);
    }
  }
};

extern "C" __global__ void
#ifdef __CUDACC__
__launch_bounds__(THREADS, 4) __cluster_dims__(SPREAD, 1, 1)
#endif
    multiply(const __grid_constant__ Given given) {
  Shared& shared = *reinterpret_cast<Shared*>(shared_memory());
  const int thread = threadIdx.x, block = block_of_cluster();
  int tile = blockIdx.x / SPREAD, which = 0;
  while (tile >= given.ends[which]) ++which;
  const Job& job = given.jobs[which];
  if (which > 0) tile -= given.ends[which - 1];
  const bool alone = job.clusters == 0;
  const int cluster = alone ? 0 : tile % job.clusters;
  tile = alone ? tile * SPREAD + block : tile / job.clusters;
  const int across = (job.N + SIDE - 1) / SIDE;
  const int first_m = tile / across * SIDE, first_n = tile % across * SIDE;
  if (first_m >= job.M) return;  // of those alone some may have none
  const int sharing = alone ? 1 : SPREAD * job.clusters;
  const int share = ((job.K + sharing - 1) / sharing + DEEP - 1) / DEEP * DEEP;
  const int begin = alone ? 0 : (cluster * SPREAD + block) * share;
  const int end = begin + share < job.K ? begin + share : job.K;
  const bool sums = job.sums[0] != nullptr && first_n == 0;

  float sum[EACH][EACH] = {}, of_a = 0;
  const int m = thread / 16 * EACH, n = thread % 16 * EACH;
  Coming<1> a(&job.a, &job.a_k, job.a_m, job.K, begin, end, first_m, job.M);
  Coming<2> b(job.b, job.b_k, job.b_n, job.first, begin, end, first_n, job.N);
  a.ask();
  b.ask();
  for (int k = begin; k < end; k += DEEP) {
    a.put(shared.a);
    b.put(shared.b);
    __syncthreads();
    a.ask();  // for the next, which come while these are multiplied
    b.ask();
#pragma unroll
    for (int deep = 0; deep < DEEP; ++deep) {
      float a[EACH], b[EACH];
#pragma unroll
      for (int i = 0; i < EACH; ++i) a[i] = shared.a[deep][m + i], b[i] = shared.b[deep][n + i];
#pragma unroll
      for (int i = 0; i < EACH; ++i)
#pragma unroll
        for (int j = 0; j < EACH; ++j) sum[i][j] += a[i] * b[j];
    }
    if (sums && thread < SIDE)
      for (int deep = 0; deep < DEEP; ++deep) of_a += shared.a[deep][thread];
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < EACH; ++i)
#pragma unroll
    for (int j = 0; j < EACH; ++j) shared.tile[m + i][n + j] = sum[i][j];
  if (thread < SIDE) shared.sums[thread] = of_a;
  __syncthreads();
  auto finish = [&](int e, float all) {  // one number of the tile
    const int m = first_m + e / SIDE, n = first_n + e % SIDE;
    if (m >= job.M || n >= job.N) return;
    for (const Number* more : job.more)
      if (more != nullptr) all += widened(more[n]);
    job.c[m * job.c_m + n] = rounded(all);
  };
  auto finish_sum = [&](float all) {
    if (first_m + thread < job.M)
      for (Number* to : job.sums) to[first_m + thread] = rounded(all);
  };
  if (alone) {
    for (int e = thread; e < SIDE * SIDE; e += THREADS) finish(e, shared.tile[e / SIDE][e % SIDE]);
    if (sums && thread < SIDE) finish_sum(of_a);
    return;
  }
  wait_for_cluster();
  float* left = job.left + (tile * job.clusters + cluster) * LEFT;
  for (int e = block * THREADS + thread; e < SIDE * SIDE; e += SPREAD * THREADS) {
    float all = 0;
    for (int other = 0; other < SPREAD; ++other)
      all += of_block(&shared.tile[e / SIDE][e % SIDE], other);
    if (job.clusters == 1)
      finish(e, all);
    else
      left[e] = all;
  }
  if (sums && block == 0 && thread < SIDE) {
    float all = 0;
    for (int other = 0; other < SPREAD; ++other) all += of_block(&shared.sums[thread], other);
    if (job.clusters == 1)
      finish_sum(all);
    else
      left[SIDE * SIDE + thread] = all;
  }
  if (job.clusters > 1) {
    __threadfence();
    wait_for_cluster();  // all of this cluster's is there
    if (block == 0 && thread == 0)
      shared.last = atomicAdd(&job.tickets[tile], 1u) + 1 == static_cast<unsigned>(job.clusters);
    wait_for_cluster();
    if (of_block(&shared.last, 0) != 0) {
      __threadfence();
      const volatile float* all_left = job.left + tile * job.clusters * LEFT;
      auto add_up = [&](int e) {
        float all = 0;
        for (int other = 0; other < job.clusters; ++other) all += all_left[other * LEFT + e];
        return all;
      };
      for (int e = block * THREADS + thread; e < SIDE * SIDE; e += SPREAD * THREADS)
        finish(e, add_up(e));
      if (sums && block == 0 && thread < SIDE) finish_sum(add_up(SIDE * SIDE + thread));
    }
  }
  wait_for_cluster();  // nobody leaves while others read
}
