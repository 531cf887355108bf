// What steps and answers are called, with what cannot be seen made visible.

import { percent, short } from "./numbers.js";
import { trace } from "./trace.js";

const SHOWN = { "\n": "⏎", "\r": "␍", "\t": "⇥", " ": "␣", "\u3000": "␣" };

export function visible(token) {
  const shown = [...token].map((c, k) => (k && c === " " ? c : SHOWN[c] ?? c)).join("");
  return shown === "" ? "∅" : shown.replace(/[\p{Cc}\p{Cf}]/gu, "·");
}

export function label(t) {
  return visible(trace.steps[t].label);
}

// A label cut to a width given in letters; Chinese characters count twice.
export function cut(text, most) {
  let width = 0;
  let out = "";
  for (const c of text) {
    width += /[\u2e80-\uffef]|[\u{20000}-\u{3ffff}]/u.test(c) ? 2 : 1;
    if (width > most) return `${out}…`;
    out += c;
  }
  return out;
}

// What the model says at a step: a name, and how likely it is where it has a probability.
export function said(t) {
  const o = trace.outputs;
  if (o.kind === "classes" && o.said) return { name: visible(o.said[t]), p: o.said_p.values[t] };
  if (o.kind === "classes") {
    const row = o.p.values.subarray(t * o.names.length, (t + 1) * o.names.length);
    const best = row.indexOf(Math.max(...row));
    return { name: visible(o.names[best]), p: row[best] };
  }
  if (o.kind === "tokens") {
    return { name: visible(o.names[t][0]), p: o.p.values[t * o.p.shape[1]] };
  }
  if (o.kind === "forecast") {
    const width = o.forecasts.shape[1] * o.forecasts.shape[2];
    return { name: short(o.forecasts.values[t * width]), p: null };
  }
  if (o.kind === "numbers") return { name: short(o.y.values[t * o.y.shape[1]]), p: null };
  return null;
}

export function saidInWords(t) {
  const answer = said(t);
  if (!answer) return "";
  return answer.p === null ? answer.name : `${answer.name} ${percent(answer.p)}`;
}
