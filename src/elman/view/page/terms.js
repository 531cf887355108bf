// What a step is made of, in its order. A plain layer has x, before, ih, hh, sum, f and h; what else
// there is stands between them, and a term that is not there is neither computed nor shown.

import { FUNCTIONS } from "./functions.js";
import { largest, short } from "./numbers.js";

const always = () => true;

// there: whether a chain has the term. scale: with which others it shares its height.
export const TERMS = [
  { name: "x", there: always, scale: "x" },
  { name: "before", there: always, scale: "y" },
  { name: "ih", there: always, scale: "sum" },
  { name: "hh", there: always, scale: "sum" },
  { name: "sum", there: always, scale: "sum" },
  { name: "norm", there: (chain) => chain.normWeight, scale: "given" },
  { name: "clip", there: (chain) => chain.of.clip !== null, scale: "given" },
  { name: "f", there: always, scale: "y" },
  { name: "keep", there: (chain) => chain.g, scale: "y" },
  { name: "fresh", there: (chain) => chain.g, scale: "y" },
  { name: "mix", there: (chain) => chain.g, scale: "y" },
  { name: "h", there: always, scale: "y" },
  { name: "other", there: (chain) => chain.other, scale: "output" },
  { name: "skipped", there: (chain) => chain.skipped, scale: "output" },
  { name: "output", there: (chain) => chain.output, scale: "output" },
];

export function termsOf(chain) {
  return TERMS.filter((term) => term.there(chain));
}

// What the page's own arithmetic comes to, before the network's own h.
export function made(chain) {
  return chain.all()[chain.g ? "mix" : "f"];
}

// How much is new, where it is one number for all units; else null.
export function oneGate(chain) {
  return chain.g?.every((g) => g === chain.g[0]) ? chain.g[0] : null;
}

// The names of a step's terms. previous: the state that it began with.
export function symbols(chain, previous) {
  const { f, clip, biases } = chain.of;
  const g = oneGate(chain);
  const sum = "Σ";
  const normed = chain.normWeight ? "N" : sum;
  const given = clip === null ? normed : "C";
  const [old, fresh] = g === null ? ["(1 − g)", "g"] : [short(1 - g), short(g)];
  return {
    x: "x_t", before: previous, ih: biases ? "W_ih x_t + b" : "W_ih x_t", hh: `W_hh ${previous}`, sum,
    norm: `N = norm(${sum})`, clip: `C = clip(${normed})`, f: chain.g ? `y_t = ${f}(${given})` : `${f}(${given})`,
    keep: `K = ${old} ${previous}`, fresh: `G = ${fresh} y_t`, mix: "K + G", h: "h_t",
    other: chain.reverse ? "h_{t →}" : "h_{t ←}", skipped: "x_t", output: "o_t",
  };
}

// Mean and 1 / √(variance + eps) of the sums of a step: over all units, as the network takes them.
function moments(chain, sums, t) {
  if (chain.mean) return [chain.mean[t], chain.scale[t]];
  let [mean, variance] = [0, 0];
  for (const z of sums) mean += z / sums.length;
  for (const z of sums) variance += (z - mean) ** 2 / sums.length;
  return [mean, 1 / Math.sqrt(variance + chain.eps)];
}

// Every term of every step, (L·U) each by its name, in float64.
export function computed(chain) {
  const { L, U, P } = chain;
  const { f: name, own, clip, merge } = chain.of;
  const f = FUNCTIONS[own ? "identity" : name];
  const all = { x: chain.x, h: chain.h, other: chain.other, skipped: chain.skipped, output: chain.output };
  const names = ["ih", "hh", "sum", "norm", "clip", "f", "slope", "keep", "fresh", "mix", "joined", "before"];
  for (const term of names) all[term] = new Float64Array(L * U);
  [all.mean, all.spread] = [new Float64Array(L), new Float64Array(L)];
  for (let t = 0; t < L; t += 1) {
    const [x, h] = [chain.row(chain.x, t, P), chain.previous(t)];
    for (let i = 0; i < U; i += 1) {
      const at = t * U + i;
      let [ih, hh] = [chain.biasIh[i] + chain.biasHh[i], chain.restHh ? chain.restHh[at] : 0];
      if (chain.restIh) ih += chain.restIh[at];
      for (let j = 0, w = i * P; j < P; j += 1, w += 1) ih += chain.weightIh[w] * x[j];
      for (let k = 0, w = i * U; k < U; k += 1, w += 1) hh += chain.weightHh[w] * h[k];
      [all.ih[at], all.hh[at], all.sum[at], all.before[at]] = [ih, hh, ih + hh, h[i]];
    }
    if (chain.normWeight) {
      const [mean, scale] = moments(chain, chain.row(all.sum, t), t);
      [all.mean[t], all.spread[t]] = [mean, 1 / scale];
      for (let i = 0; i < U; i += 1) {
        all.norm[t * U + i] = chain.normWeight[i] * scale * (all.sum[t * U + i] - mean) + chain.normBias[i];
      }
    }
  }
  const given = chain.normWeight ? all.norm : all.sum;
  for (let at = 0; at < L * U; at += 1) {
    const z = given[at];
    const held = clip === null ? z : Math.max(-clip, Math.min(clip, z));
    all.clip[at] = held;
    all.f[at] = own ? chain.y[at] : f.f(held);
    all.slope[at] = own ? chain.slope[at] : held === z ? f.slope(held) : 0;
    if (chain.g) {
      const g = chain.g[at % U];
      all.keep[at] = (1 - g) * all.before[at];
      all.fresh[at] = g * all.f[at];
      all.mix[at] = all.keep[at] + all.fresh[at];
    }
    let out = all.h[at] + (merge ? chain.other[at] : 0);
    if (merge === "mean") out /= 2;
    all.joined[at] = out + (chain.skipped ? chain.skipped[at] : 0);
  }
  all.scales = scales(chain, all, f.most ?? 0);
  return all;
}

function scales(chain, all, most) {
  const highest = (...arrays) => Math.max(...arrays.filter((array) => array).map(largest));
  const h = Math.max(most, highest(chain.h));
  return { x: largest(chain.x), sum: highest(all.ih, all.hh, all.sum), h, y: Math.max(h, highest(all.f)),
    given: highest(all.norm, all.clip), output: highest(chain.h, chain.other, chain.skipped, chain.output) };
}
