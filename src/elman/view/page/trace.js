// What the page was made of, and the arithmetic of every step, redone here in float64.

import { byId } from "./dom.js";
import { unpacked } from "./numbers.js";
import { computed } from "./terms.js";

class Chain {
  // of: what all chains of the network have in common.
  constructor(raw, of) {
    Object.assign(this, raw);
    for (const [name, value] of Object.entries(raw)) {
      if (value?.data !== undefined) this[name] = unpacked(value).values;
    }
    this.of = of;
    this.L = of.steps.length;
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

  // All terms of every step at once: when first asked for.
  all() {
    this.sums ??= computed(this);
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
  const chains = raw.chains.map((chain) => new Chain(chain, raw));
  for (const chain of chains) {
    if (chain.x) continue;
    const same = chains.find((other) => other.layer === chain.layer && other.x);
    if (same) { // the other direction reads the same
      chain.x = same.x;
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
