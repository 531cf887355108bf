// All units over all steps as one picture, and under it the chosen unit's own line.

import { choose, chosen, current, onChange, stepNumber } from "./chosen.js";
import { LEFT, RIGHT, Chart, keepDrawn, setHeading, timeAxis } from "./chart.js";
import { colour, ink, rgb } from "./colour.js";
import { byId, el, frame, setText, sized, svg } from "./dom.js";
import { label } from "./labels.js";
import { say } from "./language.js";
import { full, short } from "./numbers.js";
import { widthOf } from "./room.js";
import { trace } from "./trace.js";
import { hideTip, showTip } from "./tip.js";

const canvas = el("canvas", { id: "heat", tabindex: 0, role: "application" });
const names = svg("svg", { class: "names", "aria-hidden": "true" });
const title = el("h3");
const order = el("select", { id: "sort", change: () => choose({ sort: order.value }) });
const note = el("p", { class: "note" });
const key = el("p", { class: "note key" });
const readout = el("output", { class: "readout", id: "cell", "aria-live": "off" });
const line = new Chart({ high: 70, name: "unit", home: "states" });
// What is chosen lies over the picture, which stays as it is.
const column = svg("rect", { class: "mark" });
const across = svg("rect", { class: "mark" });
const number = svg("text", { class: "tick end" });
const marks = svg("svg", { class: "marks", "aria-hidden": "true" }, column, across, number);
const picture = document.createElement("canvas");
let drawn = null;
let rows = [];
let place = [];

const SORTS = { number: "sortNumber", when: "sortWhen", strength: "sortStrength" };
chosen.sort = "number";

// When a unit acts: the step of its largest change. How much: the spread of its states.
function measured(chain) {
  chain.measures ??= chain.units.map((_, i) => {
    let [when, change, sum, squares] = [0, -1, 0, 0];
    for (let t = 0; t < chain.L; t += 1) {
      const value = chain.h[t * chain.U + i];
      const move = Math.abs(value - chain.previous(t)[i]);
      if (move > change) [when, change] = [t, move];
      sum += value;
      squares += value * value;
    }
    return { when, change, strength: squares / chain.L - (sum / chain.L) ** 2 };
  });
  return chain.measures;
}

function sorted(chain) {
  const units = chain.units.map((_, i) => i);
  const of = measured(chain);
  if (chosen.sort === "when") units.sort((a, b) => of[a].when - of[b].when || of[b].change - of[a].change);
  if (chosen.sort === "strength") units.sort((a, b) => of[b].strength - of[a].strength);
  return units;
}

function high(U) {
  return Math.max(1, Math.min(18, Math.floor(400 / U)));
}

// One pixel a state, to be stretched: drawn anew when the chain or the order changes.
function paint(chain) {
  rows = sorted(chain);
  place = [];
  rows.forEach((unit, k) => { place[unit] = k; });
  picture.width = chain.L;
  picture.height = chain.U;
  const pen = picture.getContext("2d");
  const image = pen.createImageData(chain.L, chain.U);
  const scale = chain.all().scales.h;
  for (let k = 0, at = 0; k < chain.U; k += 1) {
    for (let t = 0; t < chain.L; t += 1, at += 4) {
      const [r, g, b] = rgb(chain.h[t * chain.U + rows[k]], scale);
      image.data.set([r, g, b, 255], at);
    }
  }
  pen.putImageData(image, 0, 0);
}

function draw() {
  const chain = current();
  const width = widthOf("states");
  const wide = width - LEFT - RIGHT;
  const row = high(chain.U);
  const tall = row * chain.U;
  const now = [chosen.chain, chosen.sort, width, ink("--zero")].join();
  if (now !== drawn) {
    drawn = now;
    paint(chain);
    const pen = sized(canvas, width, tall + 2);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(picture, LEFT, 1, wide, tall);
    frame(marks, width, tall + 2);
    frame(names, width, 20);
    names.replaceChildren(...timeAxis(width, 0));
  }
  const cell = wide / chain.L;
  const y = 1 + place[chosen.unit] * row;
  put(column, { x: LEFT + chosen.t * cell, y: 1, width: cell, height: tall });
  put(across, { x: LEFT, y, width: wide, height: Math.max(row, 2) });
  put(number, { x: LEFT - 6, y: Math.max(11, Math.min(tall, y + row / 2 + 4)) });
  setText(number, String(chain.units[chosen.unit]));
  words(chain);
}

function put(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

function cellWords(chain, unit, t) {
  return say("cell", { unit: chain.units[unit], step: stepNumber(t), label: label(t), value: full(chain.h[t * chain.U + unit]) });
}

function words(chain) {
  setText(title, say("statesTitle"));
  order.setAttribute("aria-label", say("sort"));
  [...order.options].forEach((option) => setText(option, say(SORTS[option.value])));
  order.value = chosen.sort;
  const others = chain.others
    ? ` ${say("othersMean", { n: chain.H - chain.U })}: ${short(chain.others[chosen.t])}.` : "";
  setText(note, (chosen.sort === "when" ? say("whenNote") : "") + others);
  const scale = chain.all().scales.h;
  setText(key.lastChild, say("scale", { low: short(-scale), high: short(scale) }));
  [...key.firstChild.children].forEach((patch, k) => { patch.style.background = colour(k - 4, 4); });
  const text = cellWords(chain, chosen.unit, chosen.t);
  setText(readout, text);
  readout.dataset.value = chain.h[chosen.t * chain.U + chosen.unit];
  canvas.setAttribute("aria-label", `${say("statesLabel", { units: chain.U, steps: chain.L })} ${text}`);
}

function under(event) {
  const chain = current();
  const box = canvas.getBoundingClientRect();
  const t = Math.floor(((event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT)) * chain.L);
  const k = Math.floor((event.clientY - box.top - 1) / high(chain.U));
  return t >= 0 && t < chain.L && k >= 0 && k < chain.U ? { t, unit: rows[k] } : null;
}

function onPoint(event, pick) {
  const at = under(event);
  if (!at) return hideTip();
  if (pick) choose(at);
  return showTip(cellWords(current(), at.unit, at.t), event.clientX, event.clientY);
}

function onKey(event) { // up and down go along the order shown; the rest is the page's
  const move = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  const next = rows[place[chosen.unit] + move];
  if (move === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  event.stopPropagation();
  if (next !== undefined) choose({ unit: next });
}

export function startHeatmap() {
  order.append(...Object.keys(SORTS).map((value) => el("option", { value })));
  const patches = el("span", { class: "patches", "aria-hidden": "true" }, ...Array.from({ length: 9 }, () => el("i")));
  key.append(patches, el("span"));
  byId("states").append(
    el("div", { class: "heading" }, title, order), note, el("div", { class: "map" }, canvas, marks), names,
    el("div", { class: "heading" }, key, readout), line.element);
  canvas.addEventListener("pointermove", (event) => onPoint(event, event.buttons === 1));
  canvas.addEventListener("pointerdown", (event) => onPoint(event, true));
  canvas.addEventListener("pointerleave", hideTip);
  canvas.addEventListener("keydown", onKey);
  onChange(draw, "states");
  keepDrawn(line, () => [chosen.chain, chosen.unit], () => {
    const chain = current();
    const scale = chain.all().scales.h;
    const values = Array.from({ length: chain.L }, (_, t) => chain.h[t * chain.U + chosen.unit]);
    setHeading(line, `h[${chain.units[chosen.unit]}]`);
    line.tip = (t) => cellWords(chain, chosen.unit, t);
    line.draw({ range: [-scale, scale], ticks: [-scale, 0, scale], lines: [{ values, kind: "l0" }] });
    line.picture.setAttribute("aria-label", say("unitOverTime", { unit: chain.units[chosen.unit] }));
  });
}
