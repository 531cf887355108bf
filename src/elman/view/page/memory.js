// How far back the network remembers, measured on this input, and what to do about it.

import { Chart, keepDrawn, setHeading } from "./chart.js";
import { chosen, current, onChange, stepNumber } from "./chosen.js";
import { byId, el, setText } from "./dom.js";
import { label, visible } from "./labels.js";
import { say, spoken } from "./language.js";
import { setMath, spelled } from "./math.js";
import { full, short } from "./numbers.js";
import { previousName } from "./step.js";
import { trace } from "./trace.js";

const FLOOR = 1e-12; // what is below is drawn there
const verdict = el("p", { class: "verdict", id: "verdict" });
const advice = el("p", { id: "advice" });
const facts = el("p", { class: "note", id: "radius" });
const charts = ["gradient", "gain", "jacobian"].map((name) => [name, new Chart({ high: 90, log: true, name, home: "remembering" })]);
const summary = el("summary");
const body = el("tbody");
const headings = el("tr");
const details = el("details", { toggle: () => fillTable() }, summary,
  el("div", { class: "wide" }, el("table", {}, el("thead", {}, headings), body)));
let tabled = null;

const LOSSES = { class: "lossClass", token: "lossToken", correction: "lossCorrection", output: "lossOutput", square: "lossSquare" };

function lossWords() {
  return say(LOSSES[trace.loss.kind], { name: visible(trace.loss.name ?? "") });
}

// 1, 2 and 5 times the powers of ten; values below FLOOR are drawn on the lowest line.
const GRADES = Array.from({ length: 153 }, (_, k) => Number(`${[1, 2, 5][k % 3]}e${Math.floor(k / 3) - 12}`)); // to the largest float32

// A range around all values, and the lines to draw in it: not more than five.
function decades(values) {
  const seen = values.filter((value) => value > FLOOR && Number.isFinite(value));
  if (!seen.length) return { range: [FLOOR, 1], ticks: [FLOOR, 1] };
  const top = GRADES.findIndex((grade) => grade >= Math.max(...seen));
  const high = top < 0 ? GRADES.length - 1 : Math.max(1, top);
  let low = GRADES.findLastIndex((grade) => grade <= Math.min(...seen) * (1 + 1e-9));
  low = Math.max(0, Math.min(low, high - 1));
  if (high - low > 4) low -= low % 3; // over more than a decade: whole powers of ten
  const whole = GRADES.slice(low, high + 1).filter((_, k) => high - low <= 4 || (low + k) % 3 === 0);
  const every = Math.ceil(whole.length / 5);
  const ticks = whole.filter((_, k) => k % every === 0);
  return { range: [GRADES[low], GRADES[high]], ticks };
}

function adviceWords(chain) {
  const { trained, init, clip } = trace.advice;
  const parts = { init: "orthogonal", f: trace.f, clip };
  if (chain.verdict === "healthy") return say("advice_healthy");
  if (chain.verdict === "vanishing" && (trace.learnLeak || trace.leak !== 1)) return say("advice_vanishing_leak");
  if (!trained) return say(`advice_${chain.verdict}_free`);
  if (chain.verdict === "vanishing" && init !== "torch") return say("advice_vanishing_best", { init });
  return say(`advice_${chain.verdict}`, parts);
}

function tell() {
  const chain = current();
  const parts = { lasts: chain.lasts, steps: chain.whole, gain: short((chain.verdict === "exploding" ? chain.most : chain.arrives) ?? Infinity) };
  const pace = chain.arrives ** (1 / Math.max(1, chain.whole - 1));
  parts.later = Math.ceil(Math.log(0.01) / Math.log(pace));
  const name = chain.verdict === "healthy" && pace < 0.9 ? "fading" : chain.verdict;
  setText(verdict, chain.whole === 1 ? say("verdictShort") : say(`verdict_${name}`, parts));
  verdict.dataset.verdict = chain.verdict;
  setText(advice, adviceWords(chain));
  const radius = say(chain.H <= 1024 ? "radius" : "radiusAbout", { radius: full(chain.radius) });
  setMath(facts, [radius, chain.exact ? "" : say("sampled")].filter(Boolean).join(" "));
  facts.dataset.value = chain.radius;
  setText(summary, say("memoryTable"));
  fillTable();
}

function fillTable() {
  if (!details.open) return;
  const chain = current();
  const now = [spoken(), chosen.chain].join();
  if (now === tabled) return;
  tabled = now;
  const heads = [say("memoryStep"), say("memoryToken"), "|∂L/∂h_t|", "|∂h_T/∂h_t|", `‖∂h_t/∂${previousName(chain)}‖`];
  headings.replaceChildren(...heads.map((head) => {
    const cell = el("th", { scope: "col" });
    setMath(cell, head);
    return cell;
  }));
  body.replaceChildren(...trace.steps.map((_, t) => el("tr", {},
    el("th", { scope: "row" }, stepNumber(t)), el("td", {}, label(t)),
    ...[chain.gradient, chain.gain, chain.jacobian].map((of) => el("td", {}, full(of[t]))))));
}

export function startMemory() {
  byId("remembering").append(verdict, advice, facts, ...charts.map(([, chart]) => chart.element), details);
  onChange(tell, "remembering");
  for (const [name, chart] of charts) {
    chart.tip = (t) => `${stepNumber(t)} ${label(t)}: ${full(current()[name][t])}`;
    keepDrawn(chart, () => chosen.chain, () => {
      const values = [...current()[name]];
      const title = say(`${name}Title`, { previous: previousName(current()) });
      setHeading(chart, title, name === "gradient" ? lossWords() : name === "gain" ? say("gainNote") : "", setMath);
      chart.draw({ ...decades(values), lines: [{ values, kind: name === "jacobian" ? "l1" : "l0" }] });
      chart.picture.setAttribute("aria-label", spelled(title));
    }, () => {
      const value = current()[name][chosen.t];
      setText(chart.readout, `${say("atStep", { step: stepNumber(chosen.t) })}: ${full(value)}`);
      chart.readout.dataset.value = value;
    });
  }
}
