// The recurrence as one kernel: a cluster of blocks has some rows of the batch for all their steps.
//
//     h_t = e_t ⊙ h_{t-1} + g_t ⊙ f(x_t + (q_t ⊙ h_{t-1}) M)        FORWARD
//     s_t = x_t + e_t ⊙ s_{t-1} + g_t ⊙ ((q_t ⊙ s_{t-1}) M)         LINEAR
//     δ_t = f'(y_t) ⊙ (x_t + δ_{t+1} M)                             BACK; y is in g's place
//
// Each block has UNITS of the units and keeps its part of the weight, (UNITS, K), in registers, and
// what does not fit there in shared memory. A step is: the product of that with what enters,
// (ROWS, K), which every block has whole; the sums of its parts; f; and the new states, sent to all
// blocks of the cluster, where a gate opens when all of them have come. Nobody else is waited for,
// and nothing is asked of the host or of memory but the inputs, a few steps ahead.
//
// What enters has two places by turns. A block that sends to the one has all of the other, and so
// has had a part from every block, which each sends when it is done reading the one. A block begins
// with its own part of what enters, while those of the others are on their way.
//
// Rows may be packed: row n of step t lies at offsets[t] + n, and lives for lengths[n] steps; the
// longest come first. plans.py chooses the constants, which stand before this text when it is
// compiled, and says what they are.

constexpr int THREADS = 32 * WARPS;
constexpr int K = BLOCKS * UNITS;                      // no less than H; what is beyond is zero
constexpr int WORD = WIDE ? 1 : 2;                     // numbers in 4 bytes
constexpr int WORDS = UNITS * ROWS / WORD;             // of the new states
constexpr int EACH = (WORDS + THREADS - 1) / THREADS;  // of those, a thread's
constexpr int VECTORS = UNITS * ROWS * (WIDE ? 4 : 2) / 16;  // of the new states, to be sent
constexpr int TURNS = BLOCKS == 1 ? 1 : (VECTORS * (BLOCKS - 1) + THREADS - 1) / THREADS;  // of sending
constexpr unsigned BYTES = ROWS * (K - UNITS) * (WIDE ? 4 : 2);  // that come from other blocks
constexpr bool BEFORE = MODE == BACK || HAS_G;         // whether there is a sequence g
// which sequence is which: x is the first
constexpr int G = 1, E = G + BEFORE, Q = E + HAS_E, SEQUENCES = Q + HAS_Q;
constexpr int STRIDE = K + (WIDE ? 4 : 8);             // between rows of what enters
constexpr int SUMS = UNITS + 4;                        // between rows of the parts of sums

// --- what the kernel is given: plans.py has the same ------------------------------------------------

/** A sequence and how far apart its steps, rows and groups are, in numbers; or nothing. */
struct Sequence {
    Number* at;
    long long step, row, group;
};

/** The same of one state for each row. */
struct State {
    Number* at;
    long long row, group;
};

struct Given {
    Sequence x, g, q, e, out, y;
    const Number* weight;
    long long weight_group, weight_out, weight_in;
    State first;              // the state that there is before
    State more;               // what is added to x at each row's first step, or nothing
    State last;               // where the state after the last step is written, or nothing
    const long long* offsets;
    const int* lengths;
    int L, N, tiles, reverse;  // reverse: a bit for each group
};

// --- shared memory -----------------------------------------------------------------------------

struct Shared {
    alignas(16) Number entering[2][ROWS * STRIDE];
    alignas(16) float sums[SLICES * ROWS * SUMS];
    alignas(16) unsigned ahead[AHEAD][SEQUENCES][EACH * THREADS];  // x, g, e and q of so many steps
    alignas(16) Gate gates[2];
};

/** What comes from other blocks at one step. */
struct Coming {
    Gate* gate;  // none at the first step, when nothing has to come
    unsigned turn;

    __device__ void wait_for_all() const {
        if (gate == nullptr) return;
        wait(gate, turn);
        if (threadIdx.x == 0) expect(gate, BYTES);  // at the step after the next
    }
};

// --- the product -------------------------------------------------------------------------------
// Either multiplies the block's part of the weight with what enters. A warp has a slice of each
// block's part of K, and leaves its sums in shared memory.

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
    static constexpr int FAR = WIDE ? 0 : STEPS - KEPT;          // of those, in shared memory
    static constexpr int AT_ONCE = PART % 2 == 0 ? 2 : 1;  // steps of what enters
    static_assert(PART * SLICES * 16 == UNITS || WIDE, "slices have whole steps");
    static constexpr int COLUMNS = (ROWS + 7) / 8;
    static constexpr int SHARED = WARPS * TILES * FAR * 32 * 16;
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
                                 pair(weight, given, unit, k + 8),
                                 pair(weight, given, unit + 8, k + 8)};
                const int of_far = Of::before(s);
                if (Of::far(s)) far[(of_far * TILES + m) * 32] = a;
                else kept[m][s - of_far] = a;
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
                const uint4 tiles = load_tiles(in + (n * 8 + lane % 8) * STRIDE +
                                               which / 2 * SLICES * 16 + which % 2 * 8);
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
    static constexpr int SHARED = SLICES * FAR * UNITS * 16;
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
                if (Of::far(s)) far[of_far * UNITS + m * 32] = four;
                else kept[m][s - of_far] = four;
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

// --- the loop over time ------------------------------------------------------------------------

/** Walks through a sequence, from wherever it begins: where the next step is. */
struct Walk {
    const Given& given;
    long long step, row;
    int t, by;
    long long next;  // dense: how far step t is from the first

    __device__ Walk(const Given& given, const Sequence& of, bool reverse, int steps, int passed)
        : given(given), step(reverse ? -of.step : of.step), row(of.row),
          t(reverse ? steps - 1 - passed : passed), by(reverse ? -1 : 1), next(t * of.step) {
        keep(step);
        keep(by);
    }

    __device__ long long begin() const { return PACKED ? given.offsets[t] * row : next; }
    __device__ void go() {
        t += by;
        if constexpr (!PACKED) next += step;
    }
};

/** Where a unit of a row of a group is: at the first step, of a sequence. */
template <class Of>
__device__ inline Number* place(const Of& of, int row, int group, int unit) {
    return of.at ? of.at + row * of.row + group * of.group + unit : nullptr;
}

/** Some numbers side by side, of which so many are there. */
__device__ inline unsigned read(const Number* at, int many) {
    if constexpr (WIDE) return __float_as_uint(at[0]);
    else return static_cast<unsigned>(at[0]) | (many > 1 ? static_cast<unsigned>(at[1]) << 16 : 0);
}

__device__ inline void write(Number* at, unsigned word, int many) {
    if (ALIGNED) {
        *reinterpret_cast<unsigned*>(at) = word;
    } else {
        at[0] = static_cast<Number>(word & 0xffff);
        if (many > 1) at[1] = static_cast<Number>(word >> 16);
    }
}

__device__ inline float number(unsigned word, int j) {
    if constexpr (WIDE) return __uint_as_float(word);
    else return widened(static_cast<Number>(word >> 16 * j & 0xffff));
}

__device__ inline unsigned word_of(const float (&numbers)[WORD]) {
    if constexpr (WIDE) return __float_as_uint(numbers[0]);
    else return static_cast<unsigned>(rounded(numbers[0])) |
                static_cast<unsigned>(rounded(numbers[WORD - 1])) << 16;
}

/** The sums of what the slices have left, in pairs. */
__device__ inline void add_up(const float* sums, float (&total)[WORD]) {
    float part[SLICES][WORD];
#pragma unroll
    for (int k = 0; k < SLICES; ++k)
#pragma unroll
        for (int j = 0; j < WORD; ++j) part[k][j] = sums[k * ROWS * SUMS + j];
#pragma unroll
    for (int many = SLICES; many > 1; many = (many + 1) / 2)
#pragma unroll
        for (int k = 0; k < many / 2; ++k)
#pragma unroll
            for (int j = 0; j < WORD; ++j) part[k][j] += part[k + (many + 1) / 2][j];
#pragma unroll
    for (int j = 0; j < WORD; ++j) total[j] = part[0][j];
}

/** Some of a row's new states, side by side, and where what they are made of comes from. */
struct Own {
    int row, unit, many, length;  // many: that are there; length: of the row, zero where none is
    const Number* from[SEQUENCES];  // x, g, e and q, as far as they are there
    Number *out, *y;
    float s[WORD];
};

extern "C" __global__ void
#ifdef __CUDACC__
__launch_bounds__(THREADS, 1) __cluster_dims__(BLOCKS, 1, 1)
#endif
scan(const __grid_constant__ Given given) {
    char* memory = shared_memory();
    Shared& shared = *reinterpret_cast<Shared*>(memory);
    const int thread = threadIdx.x, block = BLOCKS > 1 ? block_of_cluster() : 0;
    const int cluster = blockIdx.x / BLOCKS;
    const int group = cluster / given.tiles, first_row = cluster % given.tiles * ROWS;
    const int first_unit = block * UNITS;
    const int steps = PACKED ? given.lengths[first_row] : given.L;
    const bool reverse = (given.reverse >> group & 1) != 0;

    Product product;
    product.load(given, given.weight + group * given.weight_group, block, memory + sizeof(Shared));

    Own owns[EACH];
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
        Own& own = owns[i];
        const int first = (i * THREADS + thread) * WORD;
        own.row = first / UNITS, own.unit = first % UNITS;
        const int row = first_row + own.row, unit = first_unit + own.unit;
        const bool is = own.row < ROWS && row < given.N && unit < H;
        own.many = is ? (H - unit < WORD ? H - unit : WORD) : 0;
        own.length = !is ? 0 : PACKED ? given.lengths[row] : given.L;
        own.from[0] = place(given.x, row, group, unit);
        if constexpr (BEFORE) own.from[G] = place(given.g, row, group, unit);
        if constexpr (HAS_E) own.from[E] = place(given.e, row, group, unit);
        if constexpr (HAS_Q) own.from[Q] = place(given.q, row, group, unit);
        own.out = place(given.out, row, group, unit), own.y = place(given.y, row, group, unit);
#pragma unroll
        for (int j = 0; j < WORD; ++j)
            own.s[j] = given.first.at && j < own.many
                           ? widened(place(given.first, row, group, unit)[j]) : 0;
    }

    // --- the state before the first step enters it, whole in every block
    for (int element = thread; element < ROWS * K; element += THREADS) {
        const int row = first_row + element / K, unit = element % K;
        float enters = 0;
        if (given.first.at && row < given.N && unit < H && steps > 0) {
            enters = widened(*place(given.first, row, group, unit));
            if constexpr (HAS_Q) {
                const Walk walk(given, given.q, reverse, steps, 0);
                const bool live = walk.t < (PACKED ? given.lengths[row] : given.L);
                enters *= live ? widened(place(given.q, row, group, unit)[walk.begin()]) : 0;
            }
        }
        shared.entering[0][element / K * STRIDE + unit] = rounded(enters);
    }
    // of what enters later, what is beyond H; and of x, where there is none
    for (int element = thread; element < ROWS * STRIDE; element += THREADS)
        shared.entering[1][element] = 0;
    for (int element = thread; element < AHEAD * SEQUENCES * EACH * THREADS; element += THREADS)
        reinterpret_cast<unsigned*>(shared.ahead)[element] = 0;
    if constexpr (BLOCKS > 1) {
        if (thread == 0) {
            for (Gate& gate : shared.gates) {
                make(&gate);
                expect(&gate, BYTES);
            }
        }
        __syncthreads();
        wait_for_cluster();
    } else {
        __syncthreads();
    }

    // --- inputs are asked for AHEAD steps before they are needed
    Walk to_x(given, given.x, reverse, steps, 0), to_g(given, given.g, reverse, steps, 0);
    Walk to_e(given, given.e, reverse, steps, 0), to_q(given, given.q, reverse, steps, 1);
    Walk to_out(given, given.out, reverse, steps, 0);
    auto ask = [&](int step) {  // of the steps one after another
        auto of = [&](const Walk& walk, int which) {
            const long long begin = walk.begin();
#pragma unroll
            for (int i = 0; i < EACH; ++i) {
                const Number* at = owns[i].from[which];
                unsigned* to = &shared.ahead[step % AHEAD][which][i * THREADS + thread];
                if (walk.t >= owns[i].length || at == nullptr) continue;
                if constexpr (ALIGNED) copy_ahead(to, at + begin);
                else *to = read(at + begin, owns[i].many);
            }
        };
        if (step < steps) {
            of(to_x, 0);
            if constexpr (BEFORE) of(to_g, G);
            if constexpr (HAS_E) of(to_e, E);
        }
        if constexpr (HAS_Q)
            if (step + 1 < steps) of(to_q, Q);  // of the step after
        close_ahead();
        to_x.go(), to_g.go(), to_e.go(), to_q.go();
    };
    for (int step = 0; step < AHEAD; ++step) ask(step);

#pragma unroll 1
    for (int step = 0; step < steps; ++step) {
        Number* entering = shared.entering[step % 2];
        Number* next_entering = shared.entering[1 - step % 2];
        const Coming coming{step > 0 ? &shared.gates[step % 2] : nullptr, (step - 1) / 2 % 2u};
        product(entering, block, coming, shared.sums);
        wait_ahead<AHEAD - 1>();
        __syncthreads();
        unsigned results[EACH], others[EACH], on[EACH];
#pragma unroll
        for (int i = 0; i < EACH; ++i) {
            Own& own = owns[i];
            if (WORDS % THREADS != 0 && i * THREADS + thread >= WORDS) break;
            auto given_word = [&](int which) {
                return shared.ahead[step % AHEAD][which][i * THREADS + thread];
            };
            const unsigned x_word = given_word(0), g_word = BEFORE ? given_word(G) : 0;
            const unsigned e_word = HAS_E ? given_word(E) : 0;
            const unsigned q_word = HAS_Q ? given_word(Q) : 0;
            float inner[WORD], y[WORD], enters[WORD];
            add_up(shared.sums + own.row * SUMS + own.unit, inner);
            const bool live = to_out.t < own.length;
            const Number* more = nullptr;
            if (MODE == BACK && given.more.at && live && to_out.t == (reverse ? own.length - 1 : 0))
                more = place(given.more, first_row + own.row, group, first_unit + own.unit);
#pragma unroll
            for (int j = 0; j < WORD; ++j) {
                float x = number(x_word, j), next;
                y[j] = inner[j];
                if constexpr (MODE == BACK) {
                    if (more != nullptr && j < own.many) x += widened(more[j]);
                    next = slope<F>(number(g_word, j)) * (x + inner[j]);
                } else {
                    if constexpr (MODE == FORWARD) {
                        float z = x + inner[j];
                        if constexpr (BOUNDED) z = held(z, -BOUND, BOUND);
                        y[j] = activated<F>(z);
                    }
                    next = HAS_G ? number(g_word, j) * y[j] : y[j];
                    if constexpr (MODE == LINEAR) next += x;
                    if constexpr (HAS_E) next += number(e_word, j) * own.s[j];
                }
                if (live && j < own.many) own.s[j] = next;
                enters[j] = HAS_Q && j < own.many ? number(q_word, j) * own.s[j] : own.s[j];
            }
            results[i] = word_of(own.s);
            others[i] = HAS_Y ? word_of(y) : 0;
            on[i] = HAS_Q ? word_of(enters) : results[i];
        }
#pragma unroll
        for (int i = 0; i < EACH; ++i) {
            if (WORDS % THREADS != 0 && i * THREADS + thread >= WORDS) break;
            Number* to = next_entering + owns[i].row * STRIDE + first_unit + owns[i].unit;
            *reinterpret_cast<unsigned*>(to) = on[i];
        }
        __syncthreads();
        if constexpr (BLOCKS > 1) {
            if (step + 1 < steps) {
                Number* from[TURNS];
                uint4 words[TURNS];
#pragma unroll
                for (int turn = 0; turn < TURNS; ++turn) {
                    constexpr int PER_ROW = VECTORS / ROWS;
                    const int vector = (turn * THREADS + thread) % VECTORS;
                    from[turn] = next_entering + vector / PER_ROW * STRIDE + first_unit +
                                 vector % PER_ROW * (UNITS / PER_ROW);
                    words[turn] = *reinterpret_cast<const uint4*>(from[turn]);
                }
#pragma unroll
                for (int turn = 0; turn < TURNS; ++turn) {
                    const int other = (turn * THREADS + thread) / VECTORS;
                    if (other < BLOCKS - 1)
                        send(from[turn], &shared.gates[1 - step % 2], other + (other >= block),
                             words[turn]);
                }
            }
        }
        // what follows has time while the others come
        const long long begin = to_out.begin();
#pragma unroll
        for (int i = 0; i < EACH; ++i)
            if (to_out.t < owns[i].length) {
                write(owns[i].out + begin, results[i], owns[i].many);
                if constexpr (HAS_Y) write(owns[i].y + begin, others[i], owns[i].many);
            }
        to_out.go();
        ask(step + AHEAD);
    }
    if (given.last.at) {
#pragma unroll
        for (int i = 0; i < EACH; ++i) {
            const Own& own = owns[i];
            Number* to = place(given.last, first_row + own.row, group, first_unit + own.unit);
#pragma unroll
            for (int j = 0; j < WORD; ++j)
                if (j < own.many) to[j] = rounded(own.s[j]);
        }
    }
}
