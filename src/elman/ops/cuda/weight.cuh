// A block's part of the weight, and its product with what enters: with tensor cores, or in float32.
//
// A warp has a slice of each block's part of K, and leaves its sums in shared memory.

/** Of so many steps some lie in shared memory, far: as evenly among the others as can be. */
template <int STEPS, int FAR>
struct Spread {
  /** How many of the steps before this one are far. */
  static __device__ constexpr int before(int step) { return step * FAR / STEPS; }
  static __device__ constexpr bool far(int step) { return before(step + 1) > before(step); }
};

/** With tensor cores: a warp has TILES tiles of 16 units. */
struct OfTiles {
  static constexpr int PART = WIDE ? 1 : UNITS / 16 / SLICES;  // steps of 16 of K, of a block's
  static constexpr int STEPS = PART * BLOCKS;
  static constexpr int FAR = WIDE ? 0 : STEPS - KEPT;    // of those, in shared memory
  static constexpr int AT_ONCE = PART % 2 == 0 ? 2 : 1;  // steps of what enters
  static_assert(PART * SLICES * 16 == UNITS || WIDE, "slices have whole steps");
  static constexpr int COLUMNS = (ROWS + 7) / 8;
  // several sums by turns, so that none has to wait for itself
  static constexpr int CHAINS = TILES * COLUMNS >= 4 ? 1 : 4 / (TILES * COLUMNS);
  using Of = Spread<STEPS, FAR>;
  uint4 kept[TILES][KEPT];
  uint4* far;
  int slice, tile, lane;

  __device__ unsigned pair(const Number* weight, const Given& given, int unit, int k) const {
    const Number* at = weight + unit * given.weight_out + k * given.weight_in;
    const unsigned low = unit < H && k < H ? at[0] : 0;
    const unsigned high = unit < H && k + 1 < H ? at[given.weight_in] : 0;
    return low | high << 16;
  }

  __device__ void load(const Given& given, const Number* weight, int block, void* shared) {
    const int first_unit = block * UNITS;
    const int warp = threadIdx.x / 32;
    lane = threadIdx.x % 32;
    constexpr int TALL = UNITS / 16 / TILES;
    slice = warp / TALL;
    tile = warp % TALL * TILES;
    far = static_cast<uint4*>(shared) + warp * TILES * FAR * 32 + lane;
#pragma unroll
    for (int m = 0; m < TILES; ++m) {
      const int unit = first_unit + (tile + m) * 16 + lane / 4;
#pragma unroll
      for (int s = 0; s < STEPS; ++s) {
        const int part = (block + s / PART) % BLOCKS;
        const int k = part * UNITS + (s % PART * SLICES + slice) * 16 + lane % 4 * 2;
        const uint4 a = {pair(weight, given, unit, k), pair(weight, given, unit + 8, k),
                         pair(weight, given, unit, k + 8), pair(weight, given, unit + 8, k + 8)};
        const int of_far = Of::before(s);
        if (Of::far(s))
          far[(of_far * TILES + m) * 32] = a;
        else
          kept[m][s - of_far] = a;
      }
    }
  }

  /** What enters at so many steps from this one on, for each column of 8 rows. */
  __device__ void bring(const Number* entering, int block, int step,
                        unsigned (&b)[AT_ONCE][COLUMNS][2]) const {
    int part = block + step / PART;
    part -= part >= BLOCKS ? BLOCKS : 0;
    const Number* in = entering + part * UNITS + (step % PART * SLICES + slice) * 16;
#pragma unroll
    for (int n = 0; n < COLUMNS; ++n) {
      if constexpr (AT_ONCE == 2) {
        const int which = lane / 8;  // of the tiles: two of k of each step
        const uint4 tiles =
            load_tiles(in + (n * 8 + lane % 8) * STRIDE + which / 2 * SLICES * 16 + which % 2 * 8);
        b[0][n][0] = tiles.x, b[0][n][1] = tiles.y;
        b[AT_ONCE - 1][n][0] = tiles.z, b[AT_ONCE - 1][n][1] = tiles.w;
      } else {
        const Number* at = in + (n * 8 + lane / 4) * STRIDE + lane % 4 * 2;
        b[0][n][0] = *reinterpret_cast<const unsigned*>(at);
        b[0][n][1] = *reinterpret_cast<const unsigned*>(at + 8);
      }
    }
  }

  __device__ void operator()(const Number* entering, int block, Coming coming, float* sums) const {
    float sum[CHAINS][TILES][COLUMNS][4] = {};
    uint4 next[TILES];  // of what is far, asked for before it is needed
#pragma unroll
    for (int m = 0; m < TILES && FAR > 0; ++m) next[m] = far[m * 32];
    unsigned b[2][AT_ONCE][COLUMNS][2];  // of what enters, by turns
    bring(entering, block, 0, b[0]);
#pragma unroll
    for (int begun = 0; begun < STEPS; begun += AT_ONCE) {
      const int turn = begun / AT_ONCE % 2, later = begun + AT_ONCE;
      if (later < STEPS && later != PART) bring(entering, block, later, b[1 - turn]);
#pragma unroll
      for (int k = 0; k < AT_ONCE; ++k) {
        const int s = begun + k, of_far = Of::before(s);
#pragma unroll
        for (int m = 0; m < TILES; ++m) {
          const uint4 a = Of::far(s) ? next[m] : kept[m][s - of_far];
          if (Of::far(s) && of_far + 1 < FAR) next[m] = far[((of_far + 1) * TILES + m) * 32];
#pragma unroll
          for (int n = 0; n < COLUMNS; ++n)
            multiply_tiles<DTYPE == 1>(sum[s % CHAINS][m][n], a, b[turn][k][n][0],
                                       b[turn][k][n][1]);
        }
      }
      if (later < STEPS && later == PART) {  // the rest is the others'
        coming.wait_for_all();
        bring(entering, block, later, b[1 - turn]);
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
          sums[(slice * ROWS + row) * SUMS + unit] = all;
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

  __device__ void load(const Given& given, const Number* weight, int block, void* shared) {
    const int first_unit = block * UNITS;
    slice = threadIdx.x / 32;
    lane = threadIdx.x % 32;
    far = static_cast<float4*>(shared) + slice * FAR * UNITS + lane;
#pragma unroll
    for (int m = 0; m < TILES; ++m) {
      const int unit = first_unit + m * 32 + lane;
#pragma unroll
      for (int s = 0; s < STEPS; ++s) {
        float w[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int part = (block + s / PART) % BLOCKS;
          const int k = part * UNITS + (s % PART * SLICES + slice) * 4 + i;
          const bool real = unit < H && k < H;
          w[i] = real ? widened(weight[unit * given.weight_out + k * given.weight_in]) : 0;
        }
        const float4 four = {w[0], w[1], w[2], w[3]};
        const int of_far = Of::before(s);
        if (Of::far(s))
          far[of_far * UNITS + m * 32] = four;
        else
          kept[m][s - of_far] = four;
      }
    }
  }

  __device__ void operator()(const Number* entering, int block, Coming coming, float* sums) const {
    float sum[TILES][ROWS][CHAINS] = {};
    const Number* in = entering + slice * 4;
    float4 next[TILES];  // of what is far, asked for before it is needed
#pragma unroll
    for (int m = 0; m < TILES && FAR > 0; ++m) next[m] = far[m * 32];
    int part = block;
#pragma unroll
    for (int s = 0; s < STEPS; ++s) {
      if (s > 0 && s % PART == 0) {
        if (s == PART) coming.wait_for_all();
        part = part + 1 == BLOCKS ? 0 : part + 1;
      }
      float4 w[TILES];
#pragma unroll
      for (int m = 0; m < TILES; ++m) {
        const int of_far = Of::before(s);
        w[m] = Of::far(s) ? next[m] : kept[m][s - of_far];
        if (Of::far(s) && of_far + 1 < FAR) next[m] = far[(of_far + 1) * UNITS + m * 32];
      }
#pragma unroll
      for (int n = 0; n < ROWS; ++n) {
        const Number* at = in + part * UNITS + n * STRIDE + s % PART * SLICES * 4;
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
