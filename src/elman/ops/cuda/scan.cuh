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

// --- the loop over time ------------------------------------------------------------------------

/** Walks through a sequence, from wherever it begins: where the next step is. */
struct Walk {
  const Given& given;
  long long step, row;
  int t, by;
  long long next;  // dense: how far step t is from the first

  __device__ Walk(const Given& given, const Sequence& of, bool reverse, int steps, int passed)
      : given(given),
        step(reverse ? -of.step : of.step),
        row(of.row),
        t(reverse ? steps - 1 - passed : passed),
        by(reverse ? -1 : 1),
        next(t * of.step) {
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
  int row, unit, many, length;    // many: that are there; length: of the row, zero where none is
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
      own.s[j] =
          given.first.at && j < own.many ? widened(place(given.first, row, group, unit)[j]) : 0;
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
        if constexpr (ALIGNED)
          copy_ahead(to, at + begin);
        else
          *to = read(at + begin, owns[i].many);
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
            send(from[turn], &shared.gates[1 - step % 2], other + (other >= block), words[turn]);
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
