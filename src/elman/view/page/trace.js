// What the page was made of, and the arithmetic of every step, redone here in float64.

import { byId } from "./dom.js";
import { largest, unpacked } from "./numbers.js";

const F = { tanh: Math.tanh, relu: (z) => Math.max(0, z), identity: (z) => z };

class Chain {
  constructor(raw, steps) {
    Object.assign(this, raw);
    for (const name of ["weightIh", "weightHh", "biasIh", "biasHh", "x", "h", "before",
      "restIh", "restHh", "others", "gradient", "gain", "jacobian"]) {
      this[name] = unpacked(raw[name])?.values ?? null;
    }
    this.L = steps;
    this.U = raw.units.length;
    this.P = raw.inputs.length;
    this.sums = null;
  }

  row(array, t, width = this.U) {
    return array.subarray(t * width, (t + 1) * width);
  }

  // The state a step began with: of the step before, in the direction of reading.
  previous(t) {
    const before = this.reverse ? t + 1 : t - 1;
    return before < 0 || before >= this.L ? this.before : this.row(this.h, before);
  }

  // W_ih x + b, W_hh h and their sum, of every step at once: when first asked for.
  all() {
    if (this.sums) return this.sums;
    const { L, U, P } = this;
    const [ih, hh, sum, f] = [0, 0, 0, 0].map(() => new Float64Array(L * U));
    for (let t = 0; t < L; t += 1) {
      const [x, h] = [this.row(this.x, t, P), this.previous(t)];
      for (let i = 0; i < U; i += 1) {
        const at = t * U + i;
        ih[at] = this.biasIh[i] + this.biasHh[i] + (this.restIh ? this.restIh[at] : 0);
        for (let j = 0, w = i * P; j < P; j += 1, w += 1) ih[at] += this.weightIh[w] * x[j];
        hh[at] = this.restHh ? this.restHh[at] : 0;
        for (let k = 0, w = i * U; k < U; k += 1, w += 1) hh[at] += this.weightHh[w] * h[k];
        sum[at] = ih[at] + hh[at];
        f[at] = F[trace.f](sum[at]);
      }
    }
    const most = largest([largest(ih), largest(hh), largest(sum)]);
    const states = trace.f === "tanh" ? 1 : largest(this.h);
    this.sums = { ih, hh, sum, f, scales: { x: largest(this.x), sum: most, h: states } };
    return this.sums;
  }

  // The parts of one unit's sum at a step: what is multiplied with what.
  terms(t, i) {
    const { U, P } = this;
    const [x, h] = [this.row(this.x, t, P), this.previous(t)];
    const found = [];
    for (let j = 0; j < P; j += 1) {
      found.push({ from: "x", index: this.inputs[j], value: x[j], weight: this.weightIh[i * P + j] });
    }
    for (let k = 0; k < U; k += 1) {
      found.push({ from: "h", index: this.units[k], value: h[k], weight: this.weightHh[i * U + k] });
    }
    for (const term of found) term.product = term.value * term.weight;
    if (this.restIh) found.push({ from: "restX", product: this.restIh[t * U + i] });
    if (this.restHh) found.push({ from: "restH", product: this.restHh[t * U + i] });
    return found;
  }
}

function read() {
  const raw = JSON.parse(byId("trace").textContent);
  const chains = raw.chains.map((chain) => new Chain(chain, raw.steps.length));
  for (const chain of chains) {
    if (chain.x) continue;
    if (chain.layer === 0) { // the other direction reads the same
      chain.x = chains[0].x;
      continue;
    }
    const below = chains.filter((other) => other.layer === chain.layer - 1);
    chain.x = new Float32Array(chain.L * chain.P);
    for (let t = 0, at = 0; t < chain.L; t += 1) {
      for (const other of below) {
        chain.x.set(other.row(other.h, t), at);
        at += other.U;
      }
    }
  }
  return { ...raw, chains, L: raw.steps.length, outputs: opened(raw.outputs) };
}

function opened(outputs) {
  const found = { ...outputs };
  for (const [name, value] of Object.entries(found)) {
    if (value && value.data !== undefined && value.shape) found[name] = unpacked(value);
  }
  return found;
}

export const trace = read();
