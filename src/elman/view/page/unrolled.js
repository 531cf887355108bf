// The network over its input: a column a step. Only the columns that fit are drawn; they stay
// until the chosen step comes to their edge, and can be dragged along.

import { choose, chosen, onChange, stepNumber } from "./chosen.js";
import { colour, ink } from "./colour.js";
import { byId, setText, svg } from "./dom.js";
import { cut, label, said, saidInWords } from "./labels.js";
import { say, spoken } from "./language.js";
import { percent, short } from "./numbers.js";
import { widthOf } from "./room.js";
import { trace } from "./trace.js";

const [NARROW, WIDE, BOX, GAP, CELLS, SIDE] = [74, 118, 46, 30, 12, 14];
const chains = trace.chains;
const speaks = Boolean(trace.outputs.kind);
const forecasts = trace.outputs.kind === "forecast"; // under a row stands its value, of the first column
const C = forecasts ? trace.outputs.columns.length : 0;
const TOP = speaks ? 62 : 14;
const HEIGHT = TOP + chains.length * (BOX + GAP) + 66;
const picture = svg("svg", { class: "unrolled", height: HEIGHT, role: "img" });
const columns = [];
let [first, fits, room, wideColumn] = [0, 0, 0, NARROW];
let drawn = null;

// The states of a chain as a dozen colours: neighbouring units together, the strongest of each.
const pooled = chains.map((chain) => {
  const cells = Math.min(CELLS, chain.U);
  const scale = chain.all().scales.h;
  return Array.from({ length: trace.L }, (_, t) => Array.from({ length: cells }, (_, c) => {
    let most = 0;
    const end = Math.floor(((c + 1) * chain.U) / cells);
    for (let i = Math.floor((c * chain.U) / cells); i < end; i += 1) {
      const value = chain.h[t * chain.U + i];
      if (Math.abs(value) > Math.abs(most)) most = value;
    }
    return most / scale;
  }));
});

function levelOf(k) {
  return TOP + (chains.length - 1 - k) * (BOX + GAP);
}

function column(k) {
  const x = SIDE + k * wideColumn;
  const middle = x + (wideColumn - 18) / 2;
  const wide = wideColumn - 18;
  const parts = { group: svg("g", { class: "column" }), boxes: [] };
  const add = (...elements) => parts.group.append(...elements);
  add(parts.band = svg("rect", { x: x - 7, y: 2, width: wide + 14, height: HEIGHT - 4, rx: 12, class: "band" }));
  chains.forEach((chain, c) => {
    const y = levelOf(c);
    const cells = pooled[c][0].length;
    const wire = svg("path", { class: "wire", "marker-end": "url(#head)",
      d: chain.reverse ? `M ${x + wide + 17} ${y + BOX / 2} H ${x + wide + 3}` : `M ${x - 17} ${y + BOX / 2} H ${x - 3}` });
    const inner = Array.from({ length: cells }, (_, j) => svg("rect", {
      x: x + 5 + (j % 6) * ((wide - 10) / Math.min(6, cells)), y: y + 5 + Math.floor(j / 6) * ((BOX - 10) / Math.ceil(cells / 6)),
      width: (wide - 10) / Math.min(6, cells) - 1, height: (BOX - 10) / Math.ceil(cells / 6) - 1, rx: 2 }));
    const frame = svg("rect", { x, y, width: wide, height: BOX, rx: 9, class: "box" });
    add(wire, frame, ...inner,
      svg("path", { class: "wire", "marker-end": "url(#head)", d: `M ${middle} ${y + BOX + GAP - 3} V ${y + BOX + 3}` }));
    parts.boxes.push({ frame, inner });
  });
  const foot = levelOf(0) + BOX + GAP;
  add(svg("rect", { x, y: foot, width: wide, height: 34, rx: 17, class: "pill" }),
    parts.token = svg("text", { x: middle, y: foot + 22, class: "token" }),
    parts.number = svg("text", { x: middle, y: foot + 51, class: "small" }));
  if (speaks) {
    add(svg("path", { class: "wire", "marker-end": "url(#head)", d: `M ${middle} ${TOP - 3} V ${TOP - 16}` }),
      parts.bar = svg("rect", { x, y: 40, height: 4, rx: 2, class: "chance" }),
      parts.said = svg("text", { x: middle, y: 20, class: "token" }),
      parts.p = svg("text", { x: middle, y: 35, class: "small" }));
  }
  return parts;
}

function build() {
  const width = widthOf("unrolled");
  if (width === room) return;
  room = width;
  fits = Math.max(1, Math.min(trace.L, Math.floor((width - 2 * SIDE + 18) / NARROW)));
  wideColumn = Math.min(WIDE, (width - 2 * SIDE + 18) / fits);
  columns.length = 0;
  picture.replaceChildren();
  for (let k = 0; k < fits; k += 1) {
    columns.push(column(k));
    picture.append(columns[k].group);
  }
  picture.setAttribute("width", 2 * SIDE + fits * wideColumn - 18);
}

// What changes with the choice alone.
function mark(parts, t) {
  const now = t === chosen.t;
  parts.group.classList.toggle("now", now);
  chains.forEach((chain, c) => parts.boxes[c].frame.classList.toggle("chosen", now && c === chosen.chain));
}

function fill(parts, t) {
  setText(parts.token, cut(label(t), 6));
  parts.token.classList.toggle("unknown", !trace.steps[t].known);
  setText(parts.number, forecasts ? short(trace.outputs.values.values[t * C]) : String(stepNumber(t)));
  chains.forEach((chain, c) => {
    parts.boxes[c].inner.forEach((cell, j) => cell.setAttribute("fill", colour(pooled[c][t][j], 1)));
  });
  if (!speaks) return;
  const answer = said(t);
  setText(parts.said, cut(answer.name, 7));
  const next = forecasts ? `→ ${cut(t + 1 < trace.L ? label(t + 1) : trace.outputs.following[0], 8)}` : "";
  setText(parts.p, answer.p === null ? next : percent(answer.p));
  parts.bar.setAttribute("width", answer.p === null ? 0 : (wideColumn - 18) * answer.p);
}

function draw() {
  build();
  if (!dragged) {
    const edge = fits > 4 ? 1 : 0; // a column of what comes next stays in sight
    if (chosen.t < first + edge || chosen.t >= first + fits - edge) {
      first = chosen.t - Math.floor(fits / 2);
    }
    first = Math.max(0, Math.min(trace.L - fits, first));
  }
  const now = [first, fits, room, ink("--zero"), spoken()].join();
  if (now !== drawn) columns.forEach((parts, k) => fill(parts, first + k));
  drawn = now;
  columns.forEach((parts, k) => mark(parts, first + k));
  picture.setAttribute("aria-label", say("unrolledLabel", { step: stepNumber(chosen.t), label: label(chosen.t), said: saidInWords(chosen.t) || say("sayNothing") }));
}

let dragged = false;

function pick(event) {
  const x = event.clientX - picture.getBoundingClientRect().left - SIDE + 9;
  choose({ t: Math.max(0, Math.min(trace.L - 1, first + Math.floor(x / wideColumn))) });
}

export function startUnrolled() {
  byId("unrolled").append(picture);
  picture.addEventListener("pointerdown", (event) => {
    dragged = true;
    picture.setPointerCapture(event.pointerId);
    pick(event);
  });
  picture.addEventListener("pointermove", (event) => { if (dragged) pick(event); });
  for (const end of ["pointerup", "pointercancel"]) {
    picture.addEventListener(end, () => {
      dragged = false;
      draw();
    });
  }
  onChange(draw, "unrolled");
}
