// The network over its input: a column a step. Only the columns that fit are drawn; they stay
// until the chosen step comes to their edge, and can be dragged along.

import { choose, chosen, onChange, stepNumber } from "./chosen.js";
import { colour, ink } from "./colour.js";
import { byId, frame, setText, svg } from "./dom.js";
import { brief, briefly, label, said, saidInWords } from "./labels.js";
import { say, spoken } from "./language.js";
import { percent, raised, short } from "./numbers.js";
import { widthOf } from "./room.js";
import { trace } from "./trace.js";

const [NARROW, WIDE, BOX, GAP, CELLS] = [74, 118, 46, 30, 12];
const chains = trace.chains;
const D = trace.directions;
const INNER = D > 1 ? 9 : 0; // from a layer's frame to the boxes of its two directions
const LAYER = D * BOX + 3 * INNER;
const EDGE = 14;
const SIDE = chains.length > 1 ? 44 : EDGE; // where layers and directions are named
const speaks = Boolean(trace.outputs.kind);
const forecasts = trace.outputs.kind === "forecast"; // under a row stands its value, of the first column
const C = forecasts ? trace.outputs.columns.length : 0;
const TOP = speaks ? 62 : 14;
const HEIGHT = TOP + trace.layers * (LAYER + GAP) + 66;
const picture = svg("svg", { class: "unrolled", role: "img" });
const columns = [];
if (chains.length > 1) byId("drawing-lead").dataset.word = "drawingLeadLayers";
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

// Where a layer begins, from above; and in it a direction, the one from the beginning below.
function top(layer) {
  return TOP + (trace.layers - 1 - layer) * (LAYER + GAP);
}

function topOf(chain) {
  return top(chain.layer) + INNER + (D > 1 && !chain.reverse ? BOX + INNER : 0);
}

// What reads both ways reads the same, and gives on both side by side: one frame, one arrow in.
function layers(x, middle, wide) {
  return Array.from({ length: trace.layers }, (_, layer) => [
    ...(D > 1 ? [svg("rect", { x: x - 4, y: top(layer), width: wide + 8, height: LAYER, rx: 12, class: "pair" })] : []),
    svg("path", { class: "wire", "marker-end": "url(#head)", d: `M ${middle} ${top(layer) + LAYER + GAP - 3} V ${top(layer) + LAYER + 3}` }),
  ]).flat();
}

// At the left edge, beside the first column: which layer, and which way it reads.
function names() {
  return chains.map((chain) => {
    const layer = trace.layers > 1 ? `h${raised(chain.layer + 1)}` : "h";
    return svg("text", { x: 4, y: topOf(chain) + BOX / 2 + 5, class: "lane" }, D > 1 ? `${layer} ${chain.reverse ? "←" : "→"}` : layer);
  });
}

function column(k) {
  const x = SIDE + k * wideColumn;
  const middle = x + (wideColumn - 18) / 2;
  const wide = wideColumn - 18;
  const parts = { group: svg("g", { class: "column" }), boxes: [] };
  const add = (...elements) => parts.group.append(...elements);
  add(parts.band = svg("rect", { x: x - 7, y: 2, width: wide + 14, height: HEIGHT - 4, rx: 12, class: "band" }));
  add(...layers(x, middle, wide));
  chains.forEach((chain, c) => {
    const y = topOf(chain);
    const cells = pooled[c][0].length;
    const wire = svg("path", { class: "wire", "marker-end": "url(#head)",
      d: chain.reverse ? `M ${x + wide + 17} ${y + BOX / 2} H ${x + wide + 3}` : `M ${x - 17} ${y + BOX / 2} H ${x - 3}` });
    const inner = Array.from({ length: cells }, (_, j) => svg("rect", {
      x: x + 5 + (j % 6) * ((wide - 10) / Math.min(6, cells)), y: y + 5 + Math.floor(j / 6) * ((BOX - 10) / Math.ceil(cells / 6)),
      width: (wide - 10) / Math.min(6, cells) - 1, height: (BOX - 10) / Math.ceil(cells / 6) - 1, rx: 2 }));
    const own = svg("rect", { x, y, width: wide, height: BOX, rx: 9, class: "box" });
    add(wire, own, ...inner);
    parts.boxes.push({ frame: own, inner });
  });
  const foot = top(0) + LAYER + GAP;
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
  const all = width - SIDE - EDGE + 18;
  fits = Math.max(1, Math.min(trace.L, Math.floor(all / NARROW)));
  wideColumn = Math.min(WIDE, all / fits);
  columns.length = 0;
  picture.replaceChildren(...(chains.length > 1 ? names() : []));
  for (let k = 0; k < fits; k += 1) {
    columns.push(column(k));
    picture.append(columns[k].group);
  }
  frame(picture, SIDE + EDGE + fits * wideColumn - 18, HEIGHT);
}

// What changes with the choice alone.
function mark(parts, t) {
  const now = t === chosen.t;
  parts.group.classList.toggle("now", now);
  chains.forEach((chain, c) => parts.boxes[c].frame.classList.toggle("chosen", now && c === chosen.chain));
}

function fill(parts, t) {
  setText(parts.token, brief(label(t)));
  parts.token.classList.toggle("unknown", !trace.steps[t].known);
  setText(parts.number, forecasts ? short(trace.outputs.values.values[t * C]) : String(stepNumber(t)));
  chains.forEach((chain, c) => {
    parts.boxes[c].inner.forEach((cell, j) => cell.setAttribute("fill", colour(pooled[c][t][j], 1)));
  });
  if (!speaks) return;
  const answer = said(t);
  setText(parts.said, briefly(answer.name));
  const next = forecasts ? `→ ${brief(t + 1 < trace.L ? label(t + 1) : trace.outputs.following[0])}` : "";
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
