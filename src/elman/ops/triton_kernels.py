"""The recurrence as Triton kernels: the loop over time runs inside, in programs of some rows each.

    s_t = x_t + e_t ⊙ s_{t-1} + g_t ⊙ ((q_t ⊙ s_{t-1}) M)         linear, where f is LINEAR
    s_t = e_t ⊙ s_{t-1} + g_t ⊙ f(x_t + (q_t ⊙ s_{t-1}) M)        otherwise

A program holds its states the other way round, (units, rows): so M, which is large, stands on the
left of the product, where tensor cores take many of its rows at a time, and the rows of the batch,
which may be few, on the right. Its weight is therefore Mᵀ, (out, in). States are float32 from step
to step, float64 for float64; only what enters the product is rounded to the weight's dtype.

Rows are packed as in `layout.py`: row n of step t lies at offsets[t] + n, and lives for lengths[n]
steps. Without them the sequence is dense. If TRITON_INTERPRET is set when this module is imported,
Triton runs the kernels in its interpreter, on the CPU: `INTERPRETED` says so ever after, whatever
becomes of the variable.
"""

from collections.abc import Callable
from typing import Any

import triton
from triton import language as tl

from elman.ops.activations import NUMBERS

#: Whether these kernels run in Triton's interpreter, decided as they are decorated below.
INTERPRETED: bool = triton.knobs.runtime.interpret

# Two things of bfloat16 the interpreter (of Triton 3.7) does otherwise than a GPU: it multiplies
# matrices of it bit patterns by bit patterns, and it cuts off where a GPU rounds to nearest.
_INTERPRETED = tl.constexpr(INTERPRETED)
# tl.sum is decorated when Triton is imported, maybe to be compiled, and then the interpreter cannot
# call it; what it hands to tl.reduce it can
_add = tl.standard._sum_combine


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """A piece of a kernel. Interpreted it stays plain Python, which is a hundred times quicker."""
    return function if INTERPRETED else triton.jit(function)


#: In f's place: the linear recurrence.
LINEAR = tl.constexpr(-1)
_TANH = tl.constexpr(NUMBERS["tanh"])
_RELU = tl.constexpr(NUMBERS["relu"])
_IDENTITY = tl.constexpr(NUMBERS["identity"])
_SIGMOID = tl.constexpr(NUMBERS["sigmoid"])
_HARDTANH = tl.constexpr(NUMBERS["hardtanh"])
_HARDSIGMOID = tl.constexpr(NUMBERS["hardsigmoid"])
_LEAKY_RELU = tl.constexpr(NUMBERS["leaky_relu"])
_ELU = tl.constexpr(NUMBERS["elu"])
_SELU = tl.constexpr(NUMBERS["selu"])
_SOFTSIGN = tl.constexpr(NUMBERS["softsign"])
_SOFTPLUS = tl.constexpr(NUMBERS["softplus"])


# --- f ---------------------------------------------------------------------------------------


@part
def held(z, low, high):
    """The value within low and high; NaN stays NaN."""
    return tl.where(z < low, low, tl.where(z > high, high, z))


@part
def tanh(z):
    """Tanh z = m / (m + 2) with m = exp(2z) - 1, and by a polynomial where float32 would lose m."""
    far = tl.abs(z)
    if z.dtype == tl.float64:
        x = 2 * tl.where(far > 20, 20.0, far)  # beyond it rounds to one
        u = tl.exp(x)
        # Kahan: the error of u is the same above and below, and nothing is lost near zero
        m = tl.where(u == 1, x, (u - 1) * x / tl.where(u == 1, 1.0, tl.log(u)))
        size = m / (m + 2)
    else:
        w = z * z
        c = -0.00627261 * w + 0.02107025  # of the least greatest error for |z| up to 0.55
        c = c * w - 0.05385187
        c = c * w + 0.1333258
        c = c * w - 0.33333317
        near = far + far * (w * c)
        size = tl.where(far < 0.55, near, 1 - 2 / (tl.exp(2 * tl.where(far > 10, 10.0, far)) + 1))
    return tl.where(z < 0, -size, size)


@part
def exp_minus_one(z):
    """exp(z) - 1 of z up to zero: 2t / (1 - t) with t = tanh(z/2)."""
    t = tanh(z / 2)
    return 2 * t / (1 - t)


@part
def log_of_one_and(u):
    """log(1 + u) for u within 0 and 1, by Kahan's correction of what 1 + u loses."""
    w = 1 + u
    return tl.where(w == 1, u, tl.log(w) * u / tl.where(w == 1, 1.0, w - 1))


@part
def activated(z, F: tl.constexpr, BOUND: tl.constexpr):
    """f(z), of z held within ±BOUND where there is one; as `activations.activate`."""
    if BOUND is not None:
        z = held(z, -BOUND, BOUND)
    if F == _TANH:
        z = tanh(z)
    elif F == _RELU:
        z = tl.where(z <= 0, 0.0, z)
    elif F == _SIGMOID:
        z = (1 + tanh(z / 2)) / 2
    elif F == _HARDTANH:
        z = held(z, -1.0, 1.0)
    elif F == _HARDSIGMOID:
        z = held(z + 3, 0.0, 6.0) / 6
    elif F == _LEAKY_RELU:
        z = tl.where(z > 0, z, 0.01 * z)
    elif F == _ELU:
        z = tl.where(z > 0, z, exp_minus_one(tl.where(z > 0, 0.0, z)))
    elif F == _SELU:
        low = 1.6732632423543772848170429916717 * exp_minus_one(tl.where(z > 0, 0.0, z))
        z = 1.0507009873554804934193349852946 * tl.where(z > 0, z, low)
    elif F == _SOFTSIGN:
        z = z / (1 + tl.abs(z))
    elif F == _SOFTPLUS:
        more = log_of_one_and(tl.exp(-tl.abs(z)))
        z = tl.where(z > 20, z, tl.where(z < 0, 0.0, z) + more)  # beyond 20 as torch: z itself
    return z


# --- one step --------------------------------------------------------------------------------


@part
def exists(unit, H, FULL: tl.constexpr):
    """Which units there are; all, where H fills what it is cut into, and the mask costs nothing."""
    return tl.full([1, 1], 1, tl.int1) if FULL else unit < H


@part
def begin(strides, t, offsets):
    """Where step t of a sequence begins, as the distance from its first number."""
    return t.to(tl.int64) * strides[0] if offsets is None else tl.load(offsets + t) * strides[1]


@part
def read(sequence, strides, t, offsets, group, unit, row, mask, WIDE: tl.constexpr):
    """Step t of a sequence, (units, rows); zero where the mask is not, or of no sequence."""
    if sequence is None:
        tile = tl.full([1, 1], 0, WIDE)
    else:
        at = sequence + begin(strides, t, offsets) + group * strides[2]
        at += row * strides[1] + unit * strides[3]
        tile = tl.load(at, mask=mask, other=0.0).to(WIDE)
    return tile


@part
def write(sequence, strides, t, offsets, group, unit, row, mask, values):
    """The other way."""
    at = sequence + begin(strides, t, offsets) + group * strides[2]
    at += row * strides[1] + unit * strides[3]
    tl.store(at, rounded(values, sequence.dtype.element_ty), mask=mask)


@part
def rounded(z, DTYPE: tl.constexpr):
    """The nearest number of a dtype."""
    if _INTERPRETED and tl.bfloat16 == DTYPE:
        bits = z.to(tl.uint32, bitcast=True)
        nearest = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
        z = tl.where(z == z, nearest.to(tl.float32, bitcast=True), z)
    return z.to(DTYPE)


@part
def combined(
    s, inner, x, g, e,
    HAS_G: tl.constexpr, HAS_E: tl.constexpr, F: tl.constexpr, BOUND: tl.constexpr,
):  # fmt: skip
    """The new state and y, from the last state and the product with it."""
    if F == LINEAR:
        y = inner
        new = x + (g * inner if HAS_G else inner)
    else:
        y = activated(x + inner, F, BOUND)
        new = g * y if HAS_G else y
    if HAS_E:
        new += e * s
    return new, y


@part
def product(weight, s, PRECISION: tl.constexpr):
    """Mᵀ sᵀ: (out, in) by (in, rows). One row needs no tensor core: sums of products."""
    if s.shape[1] == 1:
        z = tl.reduce(weight.to(s.dtype) * tl.trans(s), 1, _add)[:, None]
    else:
        entering = rounded(s, weight.dtype)
        if _INTERPRETED:
            weight, entering = weight.to(s.dtype), entering.to(s.dtype)
        z = tl.dot(weight, entering, input_precision=PRECISION, out_dtype=s.dtype)
    return z


# --- the loops over time ---------------------------------------------------------------------


@triton.jit
def resident(
    x, x_strides, weight, weight_strides, s_0, s_0_strides,
    g, g_strides, q, q_strides, e, e_strides,
    out, y, out_strides, offsets, lengths, L, N, H, tiles,
    F: tl.constexpr, BOUND: tl.constexpr, REVERSE: tl.constexpr, PRECISION: tl.constexpr,
    WIDE: tl.constexpr, INDEX: tl.constexpr, UNITS: tl.constexpr, ROWS: tl.constexpr,
    FULL: tl.constexpr,
):  # fmt: skip
    """The whole weight is read once and kept: H is at most UNITS."""
    program = tl.program_id(0)
    group = (program // tiles).to(tl.int64)
    first = program % tiles * ROWS
    unit = tl.arange(0, UNITS)[:, None].to(INDEX)
    other = tl.arange(0, UNITS)[None, :].to(INDEX)
    row = (first + tl.arange(0, ROWS))[None, :].to(INDEX)
    inside = exists(unit, H, FULL) & (row < N)
    steps, length = L, tl.full([1, ROWS], L, tl.int32)
    if lengths is not None:
        steps = tl.load(lengths + first)  # the longest come first
        length = tl.load(lengths + row, mask=row < N, other=0)

    at = weight + group * weight_strides[0] + unit * weight_strides[1] + other * weight_strides[2]
    M = tl.load(at, mask=exists(unit, H, FULL) & exists(other, H, FULL), other=0.0)
    at = s_0 + group * s_0_strides[1] + row * s_0_strides[0] + unit * s_0_strides[2]
    s = tl.load(at, mask=inside, other=0.0).to(WIDE)

    t = tl.maximum(steps - 1, 0) if REVERSE else steps * 0  # rows may all be of length zero
    live = inside & (t < length)
    # what a step needs from memory is asked for one step before
    x_t = read(x, x_strides, t, offsets, group, unit, row, live, WIDE)
    g_t = read(g, g_strides, t, offsets, group, unit, row, live, WIDE)
    q_t = read(q, q_strides, t, offsets, group, unit, row, live, WIDE)
    e_t = read(e, e_strides, t, offsets, group, unit, row, live, WIDE)
    for step in range(steps):
        t = steps - 1 - step if REVERSE else step
        live = inside & (t < length)
        x_now, g_now, q_now, e_now = x_t, g_t, q_t, e_t
        last = step + 1 == steps
        ahead = t if last else (t - 1 if REVERSE else t + 1)
        soon = inside & (ahead < length)
        x_t = read(x, x_strides, ahead, offsets, group, unit, row, soon, WIDE)
        g_t = read(g, g_strides, ahead, offsets, group, unit, row, soon, WIDE)
        q_t = read(q, q_strides, ahead, offsets, group, unit, row, soon, WIDE)
        e_t = read(e, e_strides, ahead, offsets, group, unit, row, soon, WIDE)
        inner = product(M, s if q is None else q_now * s, PRECISION)
        new, y_now = combined(s, inner, x_now, g_now, e_now, g is not None, e is not None, F, BOUND)
        s = tl.where(live, new, s)
        write(out, out_strides, t, offsets, group, unit, row, live, s)
        if y is not None:
            write(y, out_strides, t, offsets, group, unit, row, live, y_now)


@triton.jit
def streamed(
    x, x_strides, weight, weight_strides, s_0, s_0_strides,
    g, g_strides, q, q_strides, e, e_strides,
    out, y, out_strides, state, offsets, lengths, L, N, H, tiles,
    F: tl.constexpr, BOUND: tl.constexpr, REVERSE: tl.constexpr, PRECISION: tl.constexpr,
    WIDE: tl.constexpr, INDEX: tl.constexpr, UNITS: tl.constexpr, OTHERS: tl.constexpr,
    ROWS: tl.constexpr, FULL: tl.constexpr,
):  # fmt: skip
    """The weight is read anew at every step, (UNITS, OTHERS) at a time: any H.

    `state`, (programs, 2, ROWS, H), has the last state and the next by turns: a program writes the
    one while it reads the other, and all its threads wait between two steps.
    """
    program = tl.program_id(0)
    group = (program // tiles).to(tl.int64)
    first = program % tiles * ROWS
    column = tl.arange(0, ROWS)[None, :]
    row = (first + column).to(INDEX)
    steps, length = L, tl.full([1, ROWS], L, tl.int32)
    if lengths is not None:
        steps = tl.load(lengths + first)
        length = tl.load(lengths + row, mask=row < N, other=0)
    weight += group * weight_strides[0]
    state += program.to(tl.int64) * 2 * ROWS * H

    for begun in range(0, H, UNITS):
        unit = (begun + tl.arange(0, UNITS)[:, None]).to(INDEX)
        at = s_0 + group * s_0_strides[1] + row * s_0_strides[0] + unit * s_0_strides[2]
        known = exists(unit, H, FULL)
        initial = tl.load(at, mask=known & (row < N), other=0.0).to(WIDE)
        tl.store(state + column * H + unit, initial, mask=known)
    tl.debug_barrier()
    for step in range(steps):
        t = steps - 1 - step if REVERSE else step
        here = state + step % 2 * ROWS * H
        beyond = state + (step + 1) % 2 * ROWS * H
        for begun in range(0, H, UNITS):
            unit = (begun + tl.arange(0, UNITS)[:, None]).to(INDEX)
            known = exists(unit, H, FULL)
            alive = (row < N) & (t < length)
            inner = tl.full([UNITS, ROWS], 0, WIDE)
            for before in range(0, H, OTHERS):
                other = (before + tl.arange(0, OTHERS)).to(INDEX)
                across = other[None, :]
                at = weight + unit * weight_strides[1] + across * weight_strides[2]
                M = tl.load(at, mask=known & exists(across, H, FULL), other=0.0)
                down = other[:, None]
                real = exists(down, H, FULL)
                s = tl.load(here + column * H + down, mask=real, other=0.0)
                if q is not None:
                    s *= read(q, q_strides, t, offsets, group, down, row, real & alive, WIDE)
                inner += product(M, s, PRECISION)
            s = tl.load(here + column * H + unit, mask=known, other=0.0)
            live = known & alive
            x_t = read(x, x_strides, t, offsets, group, unit, row, live, WIDE)
            g_t = read(g, g_strides, t, offsets, group, unit, row, live, WIDE)
            e_t = read(e, e_strides, t, offsets, group, unit, row, live, WIDE)
            new, y_t = combined(s, inner, x_t, g_t, e_t, g is not None, e is not None, F, BOUND)
            write(out, out_strides, t, offsets, group, unit, row, live, new)
            if y is not None:
                write(y, out_strides, t, offsets, group, unit, row, live, y_t)
            tl.store(beyond + column * H + unit, tl.where(live, new, s), mask=known)
        tl.debug_barrier()
