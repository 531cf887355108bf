// A block's part of the weight, and its product with what enters: with tensor cores, or in float32.
//
// A warp has a slice of each block's part of K, and leaves its sums in shared memory. The parts lie
// in the order of the blocks from this one on: its own is the first.

/** Of so many steps some lie in shared memory, far: as evenly among the others as can be. */
template <int STEPS, int FAR>
struct Spread {
  /** How many of the steps before this one are far. */
  static __device__ constexpr int before(int step) { return step * FAR / STEPS; }
  static __device__ constexpr bool far(int step) { return before(step + 1) > before(step); }
};

/** The weights, as W: how far apart they are is known when it is compiled, where it is 1. */
struct Weights {
  const Number* at;
  long long out, in;

  __device__ Weights(const Given& given, int group)
      : at(given.at.weight + group * given.at.between),
        out(LIES == BY_COLUMNS ? 1 : given.weight_out),
        in(LIES == BY_ROWS ? 1 : given.weight_in) {}

  __device__ const Number* place(int to, int from) const { return at + to * out + from * in; }

  /** Whether there is one between two units; not where they are beyond H. */
  static __device__ bool is(int to, int from) { return H == K || (to < H && from < H); }

  /** Two side by side, or four, of those into a unit. */
  __device__ unsigned two(const Number* at, int to, int from) const {
    if constexpr (LIES == BY_ROWS) return is(to, from) ? *reinterpret_cast<const unsigned*>(at) : 0;
    const unsigned low = is(to, from) ? at[0] : 0;
    const unsigned high = is(to, from + 1) ? at[in] : 0;
    return low | high << 16;
  }

  __device__ float4 four(const Number* at, int to, int from) const {
    if constexpr (LIES == BY_ROWS) {
      if (is(to, from)) return *reinterpret_cast<const float4*>(at);
      return {0, 0, 0, 0};
    }
    auto one = [&](int i) { return is(to, from + i) ? widened(at[i * in]) : 0; };
    return {one(0), one(1), one(2), one(3)};
  }
};

/** The part that comes so many after this block's own: that of which block. */
__device__ inline int part_after(int block, int after) {
  return block + after - (block + after < BLOCKS ? 0 : BLOCKS);
}

/** With tensor cores: a warp has TILES tiles of 16 units. */
struct OfTiles {
  static constexpr int PART = WIDE ? 1 : UNITS / 16 / SLICES;  // steps of 16 of K, of a block's
  static constexpr int STEPS = PART * BLOCKS;
  static constexpr int FAR = WIDE ? 0 : STEPS - KEPT;  // of those, in shared memory
  // what enters is brought for two steps at once; the first OWN pairs are of the block's own part
  static constexpr int OWN = (PART + 1) / 2, PAIRS = OWN + (STEPS - PART + 1) / 2;
  static_assert(PART * SLICES * 16 == UNITS || WIDE, "slices have whole steps");
  static_assert(ROWS <= 8 || ROWS % 8 == 0 || WIDE, "columns are whole, or there is one");
  static constexpr int COLUMNS = (ROWS + 7) / 8;
  // several sums by turns, so that none has to wait for itself
  static constexpr int CHAINS = TILES * COLUMNS >= 4 ? 1 : 4 / (TILES * COLUMNS);
  using Of = Spread<STEPS, FAR>;
  uint4 kept[TILES][KEPT];
  uint4* far;
  int slice, tile, lane;

  static __device__ constexpr int first_of(int pair) {
    return pair < OWN ? 2 * pair : PART + 2 * (pair - OWN);
  }
  static __device__ constexpr int many_of(int pair) {
    const int end = pair < OWN ? PART : STEPS;
    return end - first_of(pair) > 1 ? 2 : 1;
  }

  __device__ void load(const Weights& weights, int block, void* shared) {
    const int warp = threadIdx.x / 32;
    lane = threadIdx.x % 32;
    constexpr int ACROSS = UNITS / 16 / TILES;
    slice = warp / ACROSS;
    tile = warp % ACROSS * TILES;
    far = static_cast<uint4*>(shared) + warp * TILES * FAR * 32 + lane;
    const int to = block * UNITS + tile * 16 + lane / 4;
#pragma unroll
    for (int part = 0; part < BLOCKS; ++part) {
      const int from = part_after(block, part) * UNITS + slice * 16 + lane % 4 * 2;
      const Number* begin = weights.place(to, from);
#pragma unroll
      for (int step = 0; step < PART; ++step)
#pragma unroll
        for (int m = 0; m < TILES; ++m) {
          auto two = [&](int down, int right) {
            right += step * SLICES * 16, down += m * 16;
            const Number* at = begin + down * weights.out + right * weights.in;
            return weights.two(at, to + down, from + right);
          };
          const uint4 a = {two(0, 0), two(8, 0), two(0, 8), two(8, 8)};
          const int s = part * PART + step, of_far = Of::before(s);
          if (Of::far(s))
            far[(of_far * TILES + m) * 32] = a;
          else
            kept[m][s - of_far] = a;
        }
    }
  }

  /** Where what enters at a step begins, of the first slice. */
  static __device__ constexpr int begin_of(int step) {
    return step / PART * UNITS + step % PART * SLICES * 16;
  }

  /** What a lane reads of what enters: of pairs within a part, and of those across two. */
  struct Places {
    Place within, across;
  };

  __device__ Places places_of(const Number* entering) const {
    const int which = lane / 8;  // of four tiles: two of k of each step
    const int row = lane % 8 < ROWS ? lane % 8 : ROWS - 1;
    const Place at = in_shared(entering + slice * 16 + row * STRIDE + which % 2 * 8);
    constexpr int NUMBER = sizeof(Number);
    Places places = {at + which / 2 * (SLICES * 16 * NUMBER),
                     at + which / 2 * ((begin_of(PART) - begin_of(PART - 1)) * NUMBER)};
    keep(places.within);
    keep(places.across);
    return places;
  }

  /** What enters at the steps of a pair, for each column of 8 rows. */
  __device__ void bring(const Places& places, int pair, unsigned (&b)[2][COLUMNS][2]) const {
    const int first = first_of(pair);
    const Place at = first % PART + 1 < PART ? places.within : places.across;
#pragma unroll
    for (int n = 0; n < COLUMNS; ++n) {
      const uint4 tiles =
          load_tiles(at + (begin_of(first) + n * 8 * STRIDE) * static_cast<int>(sizeof(Number)));
      b[0][n][0] = tiles.x, b[0][n][1] = tiles.y;
      b[1][n][0] = tiles.z, b[1][n][1] = tiles.w;
    }
  }

  __device__ void operator()(const Number* entering, Coming coming, float* sums) const {
    const Places places = places_of(entering);
    float sum[CHAINS][TILES][COLUMNS][4] = {};
    uint4 next[TILES];  // of what is far, asked for before it is needed
#pragma unroll
    for (int m = 0; m < TILES && FAR > 0; ++m) next[m] = far[m * 32];
    unsigned b[2][2][COLUMNS][2];  // of what enters, by turns
    bring(places, 0, b[0]);
#pragma unroll
    for (int pair = 0; pair < PAIRS; ++pair) {
      if (pair + 1 < PAIRS && pair + 1 != OWN) bring(places, pair + 1, b[1 - pair % 2]);
#pragma unroll
      for (int k = 0; k < many_of(pair); ++k) {
        const int s = first_of(pair) + k, of_far = Of::before(s);
#pragma unroll
        for (int m = 0; m < TILES; ++m) {
          const uint4 a = Of::far(s) ? next[m] : kept[m][s - of_far];
          if (Of::far(s) && of_far + 1 < FAR) next[m] = far[((of_far + 1) * TILES + m) * 32];
#pragma unroll
          for (int n = 0; n < COLUMNS; ++n)
            multiply_tiles<DTYPE == 1>(sum[s % CHAINS][m][n], a, b[pair % 2][k][n][0],
                                       b[pair % 2][k][n][1]);
        }
      }
      if (pair + 1 < PAIRS && pair + 1 == OWN) {  // the rest is the others'
        coming.wait_for_all();
        bring(places, pair + 1, b[1 - pair % 2]);
      }
    }
#pragma unroll
    for (int m = 0; m < TILES; ++m)
#pragma unroll
      for (int n = 0; n < COLUMNS; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          float all = sum[0][m][n][i];
#pragma unroll
          for (int c = 1; c < CHAINS; ++c) all += sum[c][m][n][i];
          const int unit = (tile + m) * 16 + lane / 4 + i / 2 * 8;
          const int row = n * 8 + lane % 4 * 2 + i % 2;
          sums[(slice * TALL + row) * SUMS + unit] = all;
        }
  }
};

/** In float32: a lane has TILES units, 32 apart. */
struct OfNumbers {
  static constexpr int PART = UNITS / 4 / SLICES;  // steps of 4 of K, of a block's part
  static constexpr int STEPS = PART * BLOCKS;
  static constexpr int FAR = STEPS - KEPT;
  static_assert(PART * SLICES * 4 == UNITS || !WIDE, "slices have whole steps");
  static constexpr int CHAINS = TILES * ROWS >= 4 ? 1 : 4 / (TILES * ROWS);
  using Of = Spread<STEPS, FAR>;
  float4 kept[TILES][KEPT];
  float4* far;
  int slice, lane;

  __device__ void load(const Weights& weights, int block, void* shared) {
    slice = threadIdx.x / 32;
    lane = threadIdx.x % 32;
    far = static_cast<float4*>(shared) + slice * FAR * UNITS + lane;
    const int to = block * UNITS + lane;
#pragma unroll
    for (int part = 0; part < BLOCKS; ++part) {
      const int from = part_after(block, part) * UNITS + slice * 4;
      const Number* begin = weights.place(to, from);
#pragma unroll
      for (int step = 0; step < PART; ++step)
#pragma unroll
        for (int m = 0; m < TILES; ++m) {
          const int right = step * SLICES * 4, down = m * 32;
          const Number* at = begin + down * weights.out + right * weights.in;
          const float4 w = weights.four(at, to + down, from + right);
          const int s = part * PART + step, of_far = Of::before(s);
          if (Of::far(s))
            far[of_far * UNITS + m * 32] = w;
          else
            kept[m][s - of_far] = w;
        }
    }
  }

  __device__ void operator()(const Number* entering, Coming coming, float* sums) const {
    float sum[TILES][ROWS][CHAINS] = {};
    const Number* in = entering + slice * 4;
    float4 next[TILES];  // of what is far, asked for before it is needed
#pragma unroll
    for (int m = 0; m < TILES && FAR > 0; ++m) next[m] = far[m * 32];
#pragma unroll
    for (int s = 0; s < STEPS; ++s) {
      if (s == PART) coming.wait_for_all();
      float4 w[TILES];
#pragma unroll
      for (int m = 0; m < TILES; ++m) {
        const int of_far = Of::before(s);
        w[m] = Of::far(s) ? next[m] : kept[m][s - of_far];
        if (Of::far(s) && of_far + 1 < FAR) next[m] = far[(of_far + 1) * UNITS + m * 32];
      }
#pragma unroll
      for (int n = 0; n < ROWS; ++n) {
        const Number* at = in + s / PART * UNITS + n * STRIDE + s % PART * SLICES * 4;
        const float4 h = *reinterpret_cast<const float4*>(at);
#pragma unroll
        for (int m = 0; m < TILES; ++m) {
          sum[m][n][0] += w[m].x * h.x;
          sum[m][n][1 % CHAINS] += w[m].y * h.y;
          sum[m][n][2 % CHAINS] += w[m].z * h.z;
          sum[m][n][3 % CHAINS] += w[m].w * h.w;
        }
      }
    }
#pragma unroll
    for (int m = 0; m < TILES; ++m)
#pragma unroll
      for (int n = 0; n < ROWS; ++n) {
        float all = sum[m][n][0];
#pragma unroll
        for (int c = 1; c < CHAINS; ++c) all += sum[m][n][c];
        sums[(slice * ROWS + n) * SUMS + m * 32 + lane] = all;
      }
  }
};

template <bool>
struct Choose {
  using Type = OfTiles;
};
template <>
struct Choose<true> {
  using Type = OfNumbers;
};
using Product = Choose<WIDE>::Type;
