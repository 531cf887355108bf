// One step in full: from what comes in and what is remembered to the new state.

import { chosen, current, onChange, redraw, stepNumber } from "./chosen.js";
import { byId, el, setText } from "./dom.js";
import { label } from "./labels.js";
import { say } from "./language.js";
import { short } from "./numbers.js";
import { widthOf } from "./room.js";
import { Strip } from "./strip.js";
import { TERMS, made, symbols } from "./terms.js";
import { trace } from "./trace.js";

const rows = TERMS.map((term) => {
  const strip = new Strip(term.name, term.name !== "x");
  strip.element.dataset.row = term.name;
  strip.changed = redraw;
  return [term, strip];
});
const agree = el("p", { class: "note", id: "agree" });

const unknown = el("p", { class: "note", id: "unknown" });

// h_{t-1}, or h_{t+1} where the reading goes from the end.
export function previousName(chain) {
  return chain.reverse ? "h_{t+1}" : "h_{t−1}";
}

function inputWords(chain) {
  if (chain.layer > 0) return say(trace.merge || below(chain).output ? "x_given" : "x_below", { layer: chain.layer });
  return say(`x_${trace.inputs}`, { label: label(chosen.t) });
}

function below(chain) {
  return trace.chains.find((other) => other.layer === chain.layer - 1);
}

function beforeWords(chain) {
  const t = chosen.t + (chain.reverse ? 1 : -1);
  const step = stepNumber(t);
  if (step >= 1 && step <= trace.of) return say("rowBefore", { step });
  return say(trace.learnFirst ? "rowBeforeLearned" : "rowBeforeFirst");
}

function words(chain) {
  const { f, own, clip } = trace;
  const squashed = ["tanh", "sigmoid", "hardtanh", "hardsigmoid", "softsign"].includes(f) && !own;
  return {
    x: inputWords(chain), before: beforeWords(chain), ih: say("rowIh"), hh: say("rowHh"), sum: say("rowSum"),
    norm: say("rowNorm"), clip: say("rowClip", { clip }), f: say(squashed ? "rowF" : "rowFRelu", { f }),
    keep: say("rowKeep"), fresh: say("rowFresh"), mix: say("rowSum"), h: say("rowH"), other: say("rowOther"),
    skipped: say("rowSkipped"), output: say("rowOutput"),
  };
}

// The largest difference between what the page comes to and what the network computed.
function difference(chain, all, t) {
  const pairs = [[made(chain), all.h], ...(chain.output ? [[all.joined, all.output]] : [])];
  let most = 0;
  for (const [own, network] of pairs) {
    const [a, b] = [chain.row(own, t), chain.row(network, t)];
    a.forEach((value, i) => { most = Math.max(most, Math.abs(value - b[i])); });
  }
  return most;
}

function draw() {
  const chain = current();
  const { t, unit } = chosen;
  const all = chain.all();
  const [names, what] = [symbols(chain, previousName(chain)), words(chain)];
  setText(byId("step-title"), say("stepTitle", { step: stepNumber(t), label: label(t) }));
  const room = stripWidth();
  for (const [{ name, there, scale }, strip] of rows) {
    strip.element.hidden = !there(chain);
    if (strip.element.hidden) continue;
    const values = name === "x" ? chain.row(chain.x, t, chain.P) : chain.row(all[name], t);
    strip.room = room;
    const indices = name === "x" ? chain.inputs : chain.units;
    strip.draw({ values, indices, scale: all.scales[scale], symbol: names[name], what: what[name], at: unit });
  }
  setText(unknown, trace.steps[t].known ? "" : say("unknown"));
  const most = difference(chain, all, t);
  agree.dataset.value = most;
  setText(agree, say("agree", { difference: short(most) }));
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
