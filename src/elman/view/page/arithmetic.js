// One unit's arithmetic in full: every product that goes into its sum, and what comes of it.

import { choose, chosen, current, onChange } from "./chosen.js";
import { byId, el, setText } from "./dom.js";
import { say } from "./language.js";
import { setMath } from "./math.js";
import { full, short } from "./numbers.js";
import { previousName } from "./step.js";
import { made, termsOf } from "./terms.js";
import { trace } from "./trace.js";

const TOP = 8;
const heading = el("h3");
const pick = el("input", { type: "number", id: "unit", step: 1, change: onPick });
const pickName = el("span");
const pickHelp = el("span", { class: "note" });
const sums = el("dl", { class: "sums" });
const topCaption = el("caption");
const top = el("tbody");
const topHead = el("tr");
const all = el("tbody");
const allHead = el("tr");
const summary = el("summary");
const details = el("details", { toggle: () => fillAll() }, summary,
  el("div", { class: "wide" }, el("table", { class: "terms" }, el("thead", {}, allHead), all)));
const lines = ["input", "bias", "state", "sum", "mean", "spread", "norm", "clip", "f", "slope", "keep", "fresh",
  "mix", "h", "difference", "other", "skipped", "output"].map((name) => {
  const [key, value] = [el("dt"), el("dd", { "data-line": name })];
  sums.append(key, value);
  return [name, key, value];
});
const rows = Array.from({ length: TOP }, () => row());

function row() {
  const cells = { from: el("th", { scope: "row" }), value: el("td"), weight: el("td"),
    product: el("td"), bar: el("span", { class: "bar" }) };
  cells.element = el("tr", {}, cells.from, cells.value, cells.weight, cells.product,
    el("td", { class: "bars", "aria-hidden": "true" }, cells.bar));
  return cells;
}

function onPick(event) {
  const at = current().units.indexOf(Number(event.target.value));
  if (at >= 0) choose({ unit: at });
  else event.target.value = current().units[chosen.unit];
}

function nameOf(term, chain) {
  if (term.from === "restX") return say("restX", { n: chain.inputSize - chain.P });
  if (term.from === "restH") return say("restH", { n: chain.H - chain.U });
  return `${term.from === "x" ? "x_t" : previousName(chain)}[${term.index}]`;
}

function fillRow(cells, term, chain, most) {
  setMath(cells.from, nameOf(term, chain));
  setText(cells.value, term.value === undefined ? "" : full(term.value));
  setText(cells.weight, term.weight === undefined ? "" : full(term.weight));
  setText(cells.product, full(term.product));
  cells.bar.className = `bar ${term.product < 0 ? "less" : "more"}`;
  cells.bar.style.width = `${(50 * Math.abs(term.product)) / most}%`;
}

function fillHead(line) {
  const words = ["termHead", "valueHead", "weightHead", "productHead"];
  if (!line.children.length) line.append(...words.map(() => el("th", { scope: "col" })), el("td"));
  words.forEach((word, k) => setText(line.children[k], say(word)));
}

let terms = [];

function fillAll() {
  if (!details.open) return;
  const chain = current();
  const most = Math.abs(terms[0]?.product) || 1;
  while (all.children.length > terms.length) all.lastChild.remove();
  all.cells ??= [];
  all.cells.length = all.children.length;
  terms.forEach((term, k) => {
    if (!all.cells[k]) {
      all.cells[k] = row();
      all.append(all.cells[k].element);
    }
    fillRow(all.cells[k], term, chain, most);
  });
}

// The parts of the unit's sum, each as the page adds it up, and what comes of it.
function parts(chain) {
  const { t, unit } = chosen;
  const all = chain.all();
  const add = (kinds) => terms.filter((term) => kinds.includes(term.from))
    .reduce((total, term) => total + term.product, 0);
  const found = { input: add(["x", "restX"]), state: add(["h", "restH"]) };
  if (trace.biases) found.bias = chain.biasIh[unit] + chain.biasHh[unit];
  found.sum = found.input + (found.bias ?? 0) + found.state;
  for (const { name } of termsOf(chain)) {
    if (name in WORDS && !(name in found)) found[name] = chain.row(all[name], t)[unit];
  }
  if (chain.normWeight) [found.mean, found.spread] = [all.mean[t], all.spread[t]];
  found.slope = chain.row(all.slope, t)[unit];
  found.difference = chain.row(made(chain), t)[unit] - found.h;
  return found;
}

const WORDS = { input: "termsInput", bias: "termsBias", state: "termsState", sum: "termsSum", mean: "termsMean",
  spread: "termsSpread", norm: "termsNorm", clip: "termsClip", f: "termsF", slope: "termsSlope", keep: "termsKeep",
  fresh: "termsFresh", mix: "termsMix", h: "termsH", difference: "termsDifference", other: "termsOther",
  skipped: "termsSkipped", output: "termsOutput" };

function wordFor(name) {
  if (name === "bias" && (trace.biases === 1 || trace.concat)) return "termsOneBias";
  return WORDS[name];
}

function draw() {
  const chain = current();
  terms = chain.terms(chosen.t, chosen.unit);
  const found = parts(chain);
  terms.sort((a, b) => Math.abs(b.product) - Math.abs(a.product));
  const unit = chain.units[chosen.unit];
  setText(heading, say("arithmetic", { unit }));
  setText(pickName, say("unitPick"));
  setText(pickHelp, say("unitHelp"));
  pick.value = unit;
  pick.min = chain.units[0];
  pick.max = chain.units[chain.U - 1];
  for (const [name, key, value] of lines) {
    key.hidden = value.hidden = !(name in found);
    if (key.hidden) continue;
    const g = chain.g?.[chosen.unit];
    setMath(key, say(wordFor(name), { f: trace.f, clip: trace.clip, g: short(g ?? 1), old: short(1 - (g ?? 1)) }));
    setText(value, name === "difference" ? found[name].toExponential(1).replace(/-/g, "−") : full(found[name]));
    value.dataset.value = found[name];
  }
  const most = Math.abs(terms[0]?.product) || 1;
  rows.forEach((cells, k) => {
    cells.element.hidden = k >= terms.length;
    if (k < terms.length) fillRow(cells, terms[k], chain, most);
  });
  const numbers = { n: Math.min(TOP, terms.length), of: terms.length };
  setText(topCaption, say("topTerms", numbers));
  setText(summary, say("allTerms", numbers));
  fillHead(topHead);
  fillHead(allHead);
  fillAll();
}

export function startArithmetic() {
  top.append(...rows.map((cells) => cells.element));
  byId("arithmetic").append(
    el("div", { class: "heading" }, heading, el("label", { for: "unit" }, pickName, pick, pickHelp)),
    el("div", { class: "columns" }, sums,
      el("div", { class: "wide" }, el("table", { class: "terms", id: "top" }, topCaption, el("thead", {}, topHead), top))),
    details,
  );
  onChange(draw, "arithmetic");
}
