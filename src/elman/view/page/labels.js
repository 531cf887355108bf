// What steps and answers are called, with what cannot be seen made visible.

import { cut, shortener } from "./apart.js";
import { percent, short } from "./numbers.js";
import { trace } from "./trace.js";

const SHOWN = { "\n": "⏎", "\r": "␍", "\t": "⇥", " ": "␣", "\u3000": "␣" };

export function visible(token) {
  const shown = [...token].map((c, k) => (k && c === " " ? c : SHOWN[c] ?? c)).join("");
  const joins = (c, rest) => c === "\u200d" && /^\p{Extended_Pictographic}/u.test(rest); // into one picture
  return shown === "" ? "∅"
    : shown.replace(/[\p{Cc}\p{Cf}]/gu, (c, at) => (joins(c, shown.slice(at + 1)) ? c : "·"));
}

export function label(t) {
  return visible(trace.steps[t].label);
}

// The same where there is little room.
export const brief = shortener([...trace.steps.map((_, t) => label(t)), ...(trace.outputs.following ?? [])], 6);

// What the model says at a step: a name, and how likely it is where it has a probability.
export function said(t) {
  const o = trace.outputs;
  if (o.kind === "classes") return { name: visible(o.said[t]), p: o.said_p.values[t] };
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

// written: how a name of it is.
export function saidInWords(t, written = (name) => name) {
  const answer = said(t);
  if (!answer) return "";
  return answer.p === null ? answer.name : `${written(answer.name)} ${percent(answer.p)}`;
}

// Of what it says, a name where there is little room.
export const briefly = trace.outputs.kind === "classes"
  ? shortener([...trace.outputs.names, ...trace.outputs.said].map(visible), 8) : (name) => cut(name, 7);
