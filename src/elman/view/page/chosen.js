// The step, the chain and the unit that are looked at; the address bar says them too.

import { byId } from "./dom.js";
import { trace } from "./trace.js";

export const chosen = { t: trace.L - 1, chain: trace.chains.length - trace.directions, unit: 0 };

const listeners = [];
const outOfSight = new Set();
let waiting = false;
let resting = null;

// Called before the next picture after something was chosen, and once at the start. Where `home`,
// the id of an element, is out of sight, it is called once the run rests.
export function onChange(listener, home = null) {
  listeners.push({ listener, home });
  if (home) watcher.observe(byId(home));
}

const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) outOfSight.delete(target.id);
    else outOfSight.add(target.id);
  }
  redraw();
}, { rootMargin: "150px" });

export function choose(changes) {
  const before = { ...chosen };
  Object.assign(chosen, changes);
  chosen.chain = within(chosen.chain, trace.chains.length);
  chosen.t = within(chosen.t, trace.L);
  chosen.unit = within(chosen.unit, current().U);
  if (Object.keys(before).some((name) => before[name] !== chosen[name])) redraw();
}

export function redraw() {
  if (waiting) return;
  waiting = true;
  document.documentElement.dataset.drawn = "no";
  requestAnimationFrame(() => {
    waiting = false;
    clearTimeout(resting);
    for (const { listener, home } of listeners) if (!outOfSight.has(home)) listener();
    resting = setTimeout(rest, 120);
  });
}

function rest() {
  if (waiting) return; // and it will come again
  for (const { listener, home } of listeners) if (outOfSight.has(home)) listener();
  document.documentElement.dataset.drawn = "all";
}

export function current() {
  return trace.chains[chosen.chain];
}

// The number of a step in the whole input, from 1.
export function stepNumber(t) {
  return trace.first + t + 1;
}

function within(k, n) {
  return Math.max(0, Math.min(n - 1, k));
}

// #step=3&layer=2&direction=reverse&unit=17, all as a person reads them on the page. A link that
// was followed is read from its event: by now the bar may say again what was written late.
export function readAddress(followed = null) {
  const address = new URL(followed?.newURL ?? location.href);
  const said = new URLSearchParams(address.hash.slice(1));
  const number = (name) => (/^\d{1,9}$/.test(said.get(name) ?? "") ? Number(said.get(name)) : null);
  const [step, layer, unit] = [number("step"), number("layer"), number("unit")];
  const changes = {};
  if (step !== null) changes.t = step - 1 - trace.first;
  const reverse = said.get("direction") === "reverse";
  const chain = trace.chains.findIndex((c) => c.layer === layer - 1 && c.reverse === reverse);
  if (layer !== null && chain >= 0) changes.chain = chain;
  const of = trace.chains[changes.chain ?? chosen.chain];
  if (unit !== null && of.units.includes(unit)) changes.unit = of.units.indexOf(unit);
  choose(changes);
}

let written = null;

// Not at every step of a quick run: browsers allow a hundred changes of the address in ten seconds.
export function writeAddress() {
  if (location.protocol === "about:") return; // in a notebook's frame there is no address
  clearTimeout(written);
  written = setTimeout(write, 150);
}

function write() {
  const { layer, reverse, units } = current();
  const parts = [`step=${stepNumber(chosen.t)}`];
  if (trace.layers > 1 || trace.directions > 1) parts.push(`layer=${layer + 1}`);
  if (reverse) parts.push("direction=reverse");
  parts.push(`unit=${units[chosen.unit]}`);
  const address = `#${parts.join("&")}`;
  if (location.hash !== address) history.replaceState(null, "", address);
}
