// What the network says over time, by what kind of thing it says.

import { chosen, stepNumber } from "./chosen.js";
import { cut } from "./apart.js";
import { Chart, keepDrawn, roundTicks, setHeading } from "./chart.js";
import { byId, el, setText } from "./dom.js";
import { label, visible } from "./labels.js";
import { say } from "./language.js";
import { full, percent, short } from "./numbers.js";
import { trace } from "./trace.js";

const out = trace.outputs;
const KINDS = { classes, tokens, forecast, numbers };

function column(array, k) { // of an array (L, K)
  const K = array.shape[1];
  return Array.from({ length: trace.L }, (_, t) => array.values[t * K + k]);
}

function classes() {
  const chart = new Chart({ high: 150, name: "classes", home: "outputs" });
  byId("outputs").append(chart.element);
  const values = out.names.map((_, k) => column(out.p, k));
  chart.tip = (t) => `${label(t)} · ${out.names.map((name, k) => `${visible(name)} ${percent(values[k][t])}`).join(" · ")}`;
  keepDrawn(chart, () => "", () => {
    setHeading(chart, say("classesTitle"), out.of > out.names.length ? say("shownOf", { n: out.names.length, of: out.of }) : "");
    chart.name(out.names.map((name, k) => [`l${k}`, visible(name)]));
    chart.draw({ range: [0, 1], ticks: [0, 0.5, 1], lines: values.map((line, k) => ({ values: line, kind: `l${k}` })) });
    chart.picture.setAttribute("aria-label", say("classesTitle"));
  }, () => {
    const best = out.names.map((name, k) => [values[k][chosen.t], name]).sort((a, b) => b[0] - a[0]);
    setText(chart.readout, best.slice(0, 3).map(([p, name]) => `${cut(visible(name), 16)} ${full(p)}`).join(" · "));
    chart.readout.dataset.values = JSON.stringify(values.map((line) => line[chosen.t]));
  });
}

function tokens() {
  const chart = new Chart({ high: 110, name: "came", home: "came" });
  const title = el("h3");
  const note = el("p", { class: "note" });
  const list = el("ol", { class: "guesses" });
  const items = Array.from({ length: out.p.shape[1] }, () => {
    const [name, bar, p] = [el("span", { class: "guess" }), el("span", { class: "fill" }), el("span", { class: "p" })];
    list.append(el("li", {}, name, el("span", { class: "track", "aria-hidden": "true" }, bar), p));
    return { name, bar, p };
  });
  byId("outputs").append(el("div", { class: "columns" }, el("div", { id: "guesses" }, title, list, note), el("div", { id: "came" }, chart.element)));
  chart.tip = (t) => (t + 1 < trace.L ? `${label(t)} → ${label(t + 1)}: ${percent(out.came[t])}` : label(t));
  keepDrawn(chart, () => "", () => {
    setHeading(chart, say("cameTitle"));
    chart.draw({ range: [0, 1], ticks: [0, 0.5, 1], lines: [{ values: out.came, kind: "l0" }] });
    chart.picture.setAttribute("aria-label", say("cameTitle"));
  }, () => {
    const { t } = chosen;
    setText(title, say("nextTitle", { step: stepNumber(t) }));
    items.forEach(({ name, bar, p }, k) => {
      const value = out.p.values[t * out.p.shape[1] + k];
      setText(name, cut(visible(out.names[t][k]), 14));
      setText(p, percent(value));
      p.dataset.value = value;
      bar.style.width = `${100 * value}%`;
    });
    const bits = say("bits", { bits: short(out.bits.values[t]), most: short(Math.log2(out.of)) });
    const came = t + 1 < trace.L ? say("cameNote", { label: label(t + 1), p: percent(out.came[t]) }) : "";
    setText(note, [bits, came].filter(Boolean).join(" · "));
    setText(chart.readout, t + 1 < trace.L ? `${label(t + 1)} ${full(out.came[t])}` : "");
  });
}

function forecast() {
  const [, C, H] = out.forecasts.shape;
  out.columns.forEach((name, c) => {
    const chart = new Chart({ high: 190, after: H, name: `forecast-${c}`, home: "outputs" });
    byId("outputs").append(chart.element);
    const values = column(out.values, c);
    const of = (t) => out.forecasts.values.subarray((t * C + c) * H, (t * C + c + 1) * H);
    let [low, high] = [Math.min(...values), Math.max(...values)];
    for (let t = 0; t < trace.L; t += 1) for (const v of of(t)) [low, high] = [Math.min(low, v), Math.max(high, v)];
    const room = (high - low) * 0.04 || 1;
    chart.tip = (t) => `${label(t)}: ${short(values[t])}`;
    keepDrawn(chart, () => chosen.t, () => {
      const made = Array(chosen.t + 1).fill(null);
      made[chosen.t] = values[chosen.t];
      setHeading(chart, say("forecastTitle", { column: visible(name) }));
      chart.name([["series", say("forecastSeries")], ["made", say("forecastMade", { label: label(chosen.t) })]]);
      chart.draw({ range: [low - room, high + room], ticks: roundTicks(low, high),
        lines: [{ values, kind: "series" }, { values: [...made, ...of(chosen.t)], kind: "made" }] });
      chart.picture.setAttribute("aria-label", say("forecastTitle", { column: visible(name) }));
      const said = [...of(chosen.t)];
      setText(chart.readout, `${label(chosen.t)}: ${short(values[chosen.t])} → ${said.slice(0, 3).map(short).join(", ")}${H > 3 ? ", …" : ""}`);
      chart.readout.dataset.values = JSON.stringify(said);
    });
  });
}

function numbers() {
  const lines = Array.from({ length: out.y.shape[1] }, (_, k) => column(out.y, k));
  const chart = new Chart({ high: 150, name: "numbers", home: "outputs" });
  byId("outputs").append(chart.element);
  const all = lines.flat();
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const room = (high - low) * 0.05 || 1;
  keepDrawn(chart, () => "", () => {
    setHeading(chart, say("numbersTitle"), out.of > lines.length ? say("shownOf", { n: lines.length, of: out.of }) : "");
    chart.name(lines.map((_, k) => [`l${k}`, `y[${k}]`]));
    chart.draw({ range: [low - room, high + room], ticks: roundTicks(low, high), lines: lines.map((values, k) => ({ values, kind: `l${k}` })) });
    chart.picture.setAttribute("aria-label", say("numbersTitle"));
  }, () => {
    setText(chart.readout, lines.slice(0, 3).map((line) => full(line[chosen.t])).join(" · "));
    chart.readout.dataset.values = JSON.stringify(lines.map((line) => line[chosen.t]));
  });
}

export function startOutputs() {
  if (out.kind) KINDS[out.kind]();
}
