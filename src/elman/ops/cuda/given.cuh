// What a scan's kernel is given, and what a block has in shared memory.

constexpr int THREADS = 32 * WARPS;
constexpr int K = BLOCKS * UNITS;                      // no less than H; what is beyond is zero
constexpr int WORD = WIDE ? 1 : 2;                     // numbers in 4 bytes
constexpr int WORDS = UNITS * ROWS / WORD;             // of the new states
constexpr int EACH = (WORDS + THREADS - 1) / THREADS;  // of those, a thread's
constexpr int VECTORS = UNITS * ROWS * (WIDE ? 4 : 2) / 16;  // of the new states, to be sent
// how often a thread sends one
constexpr int TURNS = BLOCKS == 1 ? 1 : (VECTORS * (BLOCKS - 1) + THREADS - 1) / THREADS;
constexpr unsigned BYTES = ROWS * (K - UNITS) * (WIDE ? 4 : 2);  // that come from other blocks
constexpr bool BEFORE = MODE == BACK || HAS_G;                   // whether there is a sequence g
// which sequence is which: x is the first
constexpr int G = 1, E = G + BEFORE, Q = E + HAS_E, SEQUENCES = Q + HAS_Q;
constexpr int STRIDE = K + (WIDE ? 4 : 8);  // between rows of what enters
// of the parts of sums: rows of a slice, all of a tensor core's whether there are so many or not
constexpr int TALL = WIDE ? ROWS : (ROWS + 7) / 8 * 8;
constexpr int SUMS = UNITS + 4;  // between rows of the parts of sums

// --- what the kernel is given: calls.py packs the same ------------------------------------------

/** How far apart the steps, rows and groups of a sequence are, in numbers. */
struct Sequence {
  long long step, row, group;
};

/** And the rows and groups of a state. */
struct State {
  long long row, group;
};

/** Where all is; what there is not is nowhere. */
struct At {
  const Number *x, *g, *q, *e;
  Number *out, *y;
  const Number *weight, *first, *more;
  Number* last;
  const long long* offsets;
  const int* lengths;
  volatile int* begun;
  long long between;  // the weights of one group and the next, in numbers
};

struct Given {
  At at;
  Sequence x, g, q, e, out, y;
  long long weight_out, weight_in;
  State first;               // the state that there is before
  State more;                // what is added to x at each row's first step
  State last;                // where the state after the last step is written
  int L, N, tiles, reverse;  // reverse: a bit for each group
};

// --- shared memory -----------------------------------------------------------------------------

struct Shared {
  alignas(16) Number entering[2][ROWS * STRIDE];
  alignas(16) float sums[SLICES * TALL * SUMS];
  // x, g, e and q of so many steps
  alignas(16) unsigned ahead[AHEAD][SEQUENCES][EACH * THREADS];
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
