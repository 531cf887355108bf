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
// Rows may have lengths: row n lives for lengths[n] steps. They may be packed: then row n of step t
// lies at offsets[t] + n, and the longest come first. plans.py chooses the constants, which stand
// before this text when it is compiled, and says what they are.

// --- when a step is, and where -------------------------------------------------------------------

/** Walks through a sequence, from wherever it begins: where the next step is. */
struct Walk {
  const long long* offsets;
  long long step, row;
  int t, by;
  long long next;  // dense: how far step t is from the first

  __device__ Walk(const Given& given, const Sequence& of, bool reverse, int steps, int passed)
      : offsets(given.at.offsets),
        step(reverse ? -of.step : of.step),
        row(of.row),
        t(reverse ? steps - 1 - passed : passed),
        by(reverse ? -1 : 1),
        next(t * of.step) {
    keep(step);
    keep(by);
  }

  __device__ long long begin() const { return PACKED ? offsets[t] * row : next; }
  __device__ void go() {
    t += by;
    if constexpr (!PACKED) next += step;
  }
};

// --- numbers of the sequences --------------------------------------------------------------------

/** Where a unit of a row of a group is: at the first step, of a sequence. */
template <class Type, class Of>
__device__ inline Type* place(Type* at, const Of& of, int row, int group, int unit) {
  return at ? at + row * of.row + group * of.group + unit : nullptr;
}

/** Some numbers side by side, of which so many are there. */
__device__ inline unsigned read(const Number* at, int many) {
  if constexpr (WIDE)
    return __float_as_uint(at[0]);
  else
    return static_cast<unsigned>(at[0]) | (many > 1 ? static_cast<unsigned>(at[1]) << 16 : 0);
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
  if constexpr (WIDE)
    return __uint_as_float(word);
  else
    return widened(static_cast<Number>(word >> 16 * j & 0xffff));
}

__device__ inline unsigned word_of(const float (&numbers)[WORD]) {
  if constexpr (WIDE)
    return __float_as_uint(numbers[0]);
  else
    return static_cast<unsigned>(rounded(numbers[0])) |
           static_cast<unsigned>(rounded(numbers[WORD - 1])) << 16;
}

/** The sums of what the slices have left, in pairs. */
__device__ inline void add_up(const float* sums, float (&total)[WORD]) {
  float part[SLICES][WORD];
#pragma unroll
  for (int k = 0; k < SLICES; ++k)
#pragma unroll
    for (int j = 0; j < WORD; ++j) part[k][j] = sums[k * TALL * SUMS + j];
#pragma unroll
  for (int many = SLICES; many > 1; many = (many + 1) / 2)
#pragma unroll
    for (int k = 0; k < many / 2; ++k)
#pragma unroll
      for (int j = 0; j < WORD; ++j) part[k][j] += part[k + (many + 1) / 2][j];
#pragma unroll
  for (int j = 0; j < WORD; ++j) total[j] = part[0][j];
}

// --- the loop over time ------------------------------------------------------------------------

/** Some of a row's new states, side by side, and where what they are made of comes from. */
struct Own {
  int row, unit, many, length;    // many: that are there; length: of the row, zero where none is
  const Number* from[SEQUENCES];  // x, g, e and q, as far as they are there
  Number *out, *y;
  float s[WORD];
};

/** What a thread does. */
struct Scan {
  const Given& given;
  Shared& shared;
  const unsigned thread, block;
  const int group, first_row, first_unit;
  const int steps;  // of the longest row
  const bool reverse;
  Walk to_x, to_g, to_e, to_q, to_out;
  Product product;
  Own owns[EACH];
  // of what enters next, 16 bytes by turns: from where, to which block and where there
  unsigned from[TURNS], other[TURNS];
  Place to[TURNS];

  __device__ Scan(const Given& given, char* memory)
      : given(given),
        shared(*reinterpret_cast<Shared*>(memory)),
        thread(threadIdx.x),
        block(BLOCKS > 1 ? block_of_cluster() : 0),
        group(blockIdx.x / BLOCKS / given.tiles),
        first_row(blockIdx.x / BLOCKS % given.tiles * ROWS),
        first_unit(block * UNITS),
        steps(longest()),
        reverse((given.reverse >> group & 1) != 0),
        to_x(given, given.x, reverse, steps, 0),
        to_g(given, given.g, reverse, steps, 0),
        to_e(given, given.e, reverse, steps, 0),
        to_q(given, given.q, reverse, steps, 1),
        to_out(given, given.out, reverse, steps, 0) {
    product.load(Weights(given, group), block, memory + sizeof(Shared));
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
      Own& own = owns[i];
      const unsigned first = (i * THREADS + thread) * WORD;
      own.row = first / UNITS, own.unit = first % UNITS;
      const int row = first_row + own.row, unit = first_unit + own.unit;
      const bool is = own.row < ROWS && row < given.N && unit < H;
      own.many = is ? (H - unit < WORD ? H - unit : WORD) : 0;
      own.length = is ? length(row) : 0;
      own.from[0] = place(given.at.x, given.x, row, group, unit);
      if constexpr (BEFORE) own.from[G] = place(given.at.g, given.g, row, group, unit);
      if constexpr (HAS_E) own.from[E] = place(given.at.e, given.e, row, group, unit);
      if constexpr (HAS_Q) own.from[Q] = place(given.at.q, given.q, row, group, unit);
      own.out = place(given.at.out, given.out, row, group, unit);
      own.y = place(given.at.y, given.y, row, group, unit);
#pragma unroll
      for (int j = 0; j < WORD; ++j)
        own.s[j] = given.at.first && j < own.many
                       ? widened(place(given.at.first, given.first, row, group, unit)[j])
                       : 0;
    }
    if constexpr (BLOCKS > 1) {
#pragma unroll
      for (int turn = 0; turn < TURNS; ++turn) {
        const unsigned index = turn * THREADS + thread, vector = index % VECTORS;
        constexpr unsigned PER_ROW = VECTORS / ROWS;
        from[turn] = vector / PER_ROW * STRIDE + vector % PER_ROW * (UNITS / PER_ROW);
        other[turn] = index / VECTORS + (index / VECTORS >= block);     // BLOCKS: there is none
        const unsigned away = (block + BLOCKS - other[turn]) % BLOCKS;  // as that block counts
        to[turn] = at_block(in_shared(shared.entering[0] + from[turn] + away * UNITS),
                            other[turn] % BLOCKS);
        keep(to[turn]);
        keep(other[turn]);
      }
    }
  }

  __device__ int length(int row) const {
    return PACKED || RAGGED ? given.at.lengths[row] : given.L;
  }

  /** The steps of the cluster's longest row. */
  __device__ int longest() const {
    int most = length(first_row);
    if constexpr (RAGGED)
      for (int row = first_row + 1; row < first_row + ROWS && row < given.N; ++row)
        most = length(row) > most ? length(row) : most;
    return most;
  }

  /** What a step needs of a sequence, once it has been asked for. */
  __device__ unsigned& asked(int step, int which, int i) const {
    return shared.ahead[step % AHEAD][which][i * THREADS + thread];
  }

  // --- before the first step

  /** The state before the first step enters it, whole in every block. */
  __device__ void begin() {
    if (given.at.begun && blockIdx.x == gridDim.x - 1 && thread == 0) *given.at.begun = 1;
#pragma unroll 4
    for (int element = thread; element < ROWS * K; element += THREADS) {
      const int row = first_row + element / K, k = element % K;
      const int unit = part_after(block, k / UNITS) * UNITS + k % UNITS;
      float enters = 0;
      if (given.at.first && row < given.N && unit < H && steps > 0) {
        enters = widened(*place(given.at.first, given.first, row, group, unit));
        if constexpr (HAS_Q) {
          const Walk walk(given, given.q, reverse, steps, 0);
          const bool live = walk.t < length(row);
          enters *= live ? widened(place(given.at.q, given.q, row, group, unit)[walk.begin()]) : 0;
        }
      }
      shared.entering[0][element / K * STRIDE + k] = rounded(enters);
    }
    // of what enters later, what is beyond H; and of x, where there is none
    for (int element = thread; element < ROWS * STRIDE; element += THREADS)
      shared.entering[1][element] = 0;
    for (int element = thread; element < AHEAD * SEQUENCES * EACH * THREADS; element += THREADS)
      reinterpret_cast<unsigned*>(shared.ahead)[element] = 0;
    if constexpr (BLOCKS > 1) {
      if (thread < 2) {
        make(&shared.gates[thread]);
        expect(&shared.gates[thread], BYTES);
      }
      __syncthreads();
      wait_for_cluster();
    } else {
      __syncthreads();
    }
    for (int step = 0; step < AHEAD; ++step) ask(step);
  }

  /** Have what a step needs of a sequence on its way. */
  __device__ void ask(int step, int which, const Walk& walk) const {
    const long long begin = walk.begin();
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
      const Number* at = owns[i].from[which];
      if (walk.t >= owns[i].length || (MODE == BACK && at == nullptr)) continue;
      if constexpr (ALIGNED)
        copy_ahead(&asked(step, which, i), at + begin);
      else
        asked(step, which, i) = read(at + begin, owns[i].many);
    }
  }

  /** Have what a step needs on its way; called for one step after another. */
  __device__ void ask(int step) {
    if (step < steps) {
      ask(step, 0, to_x);
      if constexpr (BEFORE) ask(step, G, to_g);
      if constexpr (HAS_E) ask(step, E, to_e);
    }
    if constexpr (HAS_Q)
      if (step + 1 < steps) ask(step, Q, to_q);  // of the step after
    close_ahead();
    to_x.go(), to_g.go(), to_e.go(), to_q.go();
  }

  // --- a step

  /** The next states. */
  __device__ void take(int step) {
    Number* next_entering = shared.entering[1 - step % 2];
    const Coming coming{step > 0 ? &shared.gates[step % 2] : nullptr, (step - 1) / 2 % 2u};
    product(shared.entering[step % 2], coming, shared.sums);
    wait_ahead<AHEAD - 1>();
    __syncthreads();
    unsigned results[EACH], others[EACH], on[EACH];
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
      Own& own = owns[i];
      if (WORDS % THREADS != 0 && i * THREADS + thread >= WORDS) break;
      const unsigned x_word = asked(step, 0, i), g_word = BEFORE ? asked(step, G, i) : 0;
      const unsigned e_word = HAS_E ? asked(step, E, i) : 0;
      const unsigned q_word = HAS_Q ? asked(step, Q, i) : 0;
      float inner[WORD], y[WORD], enters[WORD];
      add_up(shared.sums + own.row * SUMS + own.unit, inner);
      const bool live = to_out.t < own.length;
      const Number* more = nullptr;
      if (MODE == BACK && given.at.more && live && to_out.t == (reverse ? own.length - 1 : 0))
        more = place(given.at.more, given.more, first_row + own.row, group, first_unit + own.unit);
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
      Number* to = next_entering + owns[i].row * STRIDE + owns[i].unit;
      *reinterpret_cast<unsigned*>(to) = on[i];
    }
    __syncthreads();
    if constexpr (BLOCKS > 1)
      if (step + 1 < steps) send_all(1 - step % 2);
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

  /** This block's part of what enters next, in this place of the two, to all the others. */
  __device__ void send_all(int which) const {
    const Place gate = in_shared(&shared.gates[which]);
#pragma unroll
    for (int turn = 0; turn < TURNS; ++turn)
      if (other[turn] < BLOCKS)
        send(to[turn] + which * sizeof(shared.entering[0]), at_block(gate, other[turn]),
             *reinterpret_cast<const uint4*>(shared.entering[which] + from[turn]));
  }

  // --- after the last

  __device__ void end() const {
    if (given.at.last == nullptr) return;
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
      const Own& own = owns[i];
      Number* to =
          place(given.at.last, given.last, first_row + own.row, group, first_unit + own.unit);
#pragma unroll
      for (int j = 0; j < WORD; ++j)
        if (j < own.many) to[j] = rounded(own.s[j]);
    }
  }
};

extern "C" __global__ void
#ifdef __CUDACC__
__launch_bounds__(THREADS, 1) __cluster_dims__(BLOCKS, 1, 1)
#endif
    scan(const __grid_constant__ Given given) {
  Scan scan(given, shared_memory());
  scan.begin();
#pragma unroll 1
  for (int step = 0; step < scan.steps; ++step) scan.take(step);
  scan.end();
}
