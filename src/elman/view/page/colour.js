// From numbers to colours: one hue below zero, another above, and none at zero. Blue and orange
// stay apart for every kind of colour blindness.

import { redraw } from "./chosen.js";

const STEPS = 64;
let table = null;
let written = [];
let named = {};

function parts(name) {
  const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map((k) => parseInt(text.slice(k, k + 2), 16));
}

function build() {
  const [zero, plus, low] = [parts("--zero"), parts("--plus"), parts("--minus")];
  table = [];
  for (let k = -STEPS; k <= STEPS; k += 1) {
    const share = (Math.abs(k) / STEPS) ** 0.75;
    const end = k < 0 ? low : plus;
    table.push(zero.map((from, c) => Math.round(from + (end[c] - from) * share)));
  }
  written = table.map(([r, g, b]) => `rgb(${r},${g},${b})`);
  named = {};
}

// Red, green and blue of a value between -scale and scale.
export function rgb(value, scale) {
  if (!table) build();
  return table[place(value, scale)];
}

export function colour(value, scale) {
  if (!table) build();
  return written[place(value, scale)];
}

function place(value, scale) {
  const share = Math.max(-1, Math.min(1, value / scale));
  return Math.round((share || 0) * STEPS) + STEPS;
}

// A colour of the style sheet by its name.
export function ink(name) {
  if (!table) build();
  named[name] ??= getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return named[name];
}

window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  table = null;
  redraw();
});
