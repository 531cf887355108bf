// One step in full: from what comes in and what is remembered to the new state.

import { chosen, current, onChange, redraw, stepNumber } from "./chosen.js";
import { byId, el, setText } from "./dom.js";
import { label } from "./labels.js";
import { say } from "./language.js";
import { short } from "./numbers.js";
import { widthOf } from "./room.js";
import { Strip } from "./strip.js";
import { trace } from "./trace.js";

const rows = ["x", "before", "ih", "hh", "sum", "f", "h"].map((name) => {
  const strip = new Strip(name, name !== "x");
  strip.element.dataset.row = name;
  strip.changed = redraw;
  return [name, strip];
});
const agree = el("p", { class: "note", id: "agree" });

const unknown = el("p", { class: "note", id: "unknown" });

// h_{t-1}, or h_{t+1} where the reading goes from the end.
export function previousName(chain) {
  return chain.reverse ? "h_{t+1}" : "h_{t−1}";
}

function inputWords(chain) {
  if (chain.layer > 0) return say("x_below", { layer: chain.layer });
  return say(`x_${trace.inputs}`, { label: label(chosen.t) });
}

function beforeWords(chain) {
  const t = chosen.t + (chain.reverse ? 1 : -1);
  const step = stepNumber(t);
  return step < 1 || step > trace.of ? say("rowBeforeFirst") : say("rowBefore", { step });
}

function draw() {
  const chain = current();
  const { t, unit } = chosen;
  const sums = chain.all();
  const { scales } = sums;
  const f = trace.f;
  const of = {
    x: [chain.row(chain.x, t, chain.P), scales.x, "x_t", inputWords(chain)],
    before: [chain.previous(t), scales.h, previousName(chain), beforeWords(chain)],
    ih: [chain.row(sums.ih, t), scales.sum, trace.bias ? "W_ih x_t + b" : "W_ih x_t", say("rowIh")],
    hh: [chain.row(sums.hh, t), scales.sum, `W_hh ${previousName(chain)}`, say("rowHh")],
    sum: [chain.row(sums.sum, t), scales.sum, "Σ", say("rowSum")],
    f: [chain.row(sums.f, t), scales.h, `${f}(Σ)`, say(f === "tanh" ? "rowF" : "rowFRelu", { f })],
    h: [chain.row(chain.h, t), scales.h, "h_t", say("rowH")],
  };
  setText(byId("step-title"), say("stepTitle", { step: stepNumber(t), label: label(t) }));
  const room = stripWidth();
  for (const [name, strip] of rows) {
    const [values, scale, symbol, what] = of[name];
    strip.room = room;
    const indices = name === "x" ? chain.inputs : chain.units;
    strip.draw({ values, indices, scale, symbol, what, at: unit });
  }
  setText(unknown, trace.steps[t].known ? "" : say("unknown"));
  let difference = 0;
  for (let i = 0; i < chain.U; i += 1) {
    difference = Math.max(difference, Math.abs(of.f[0][i] - of.h[0][i]));
  }
  agree.dataset.value = difference;
  setText(agree, say("agree", { difference: short(difference) }));
}

// One width for all strips, so that a unit stands in one column.
function stripWidth() {
  const inside = widthOf("strips");
  return inside > 700 ? inside - 200 - 150 : inside;
}

export function startStep() {
  byId("equation").before(unknown);
  byId("strips").append(...rows.map(([, strip]) => strip.element), agree);
  onChange(draw, "strips");
}
