// The network as it is: one layer after another, each feeding back into itself.

import { cut } from "./apart.js";
import { choose, chosen, onChange } from "./chosen.js";
import { byId, setText, svg } from "./dom.js";
import { briefly, label, saidInWords } from "./labels.js";
import { say } from "./language.js";
import { raised } from "./numbers.js";
import { trace } from "./trace.js";

const [WIDTH, BOX, GAP] = [230, 54, 42];
const rows = trace.layers;
const speaks = Boolean(trace.outputs.kind);
const HEIGHT = 62 + rows * BOX + rows * GAP + (speaks ? 40 + GAP : 12);
const X = WIDTH / 2 - 12;
const marks = [];
let input;
let output;

function arrow(path, name = "") {
  return svg("path", { d: path, class: `wire ${name}`, "marker-end": "url(#head)" });
}

function box(layer) {
  const bottom = HEIGHT - 48 - GAP - layer * (BOX + GAP);
  const top = bottom - BOX;
  const first = layer * trace.directions;
  const { H } = trace.chains[first];
  const wide = 92;
  const back = `M ${X + wide / 2} ${top + 14} C ${X + wide / 2 + 46} ${top - 8}, `
    + `${X + wide / 2 + 46} ${bottom + 8}, ${X + wide / 2 + 3} ${bottom - 14}`;
  const chain = trace.chains[first];
  const size = `${H}${trace.directions > 1 ? " × 2" : ""}`;
  const named = `${trace.f} · ${size}`;
  const mark = svg("rect", { x: X - wide / 2, y: top, width: wide, height: BOX, rx: 12, class: "box" });
  const group = svg("g", { class: "layer", click: () => choose({ chain: first }) },
    mark,
    svg("text", { x: X, y: top + 23, class: "symbol" }, rows > 1 ? `h${raised(layer + 1)}` : "h"),
    svg("text", { x: X, y: top + 41, class: "small" }, named.length > 14 ? size : named),
    arrow(back, "feedback"),
    ...(chain.skipped ? [ // past the layer, and added
      arrow(`M ${X} ${bottom + GAP - 21} H ${X - wide / 2 - 15} V ${top - 9} H ${X - 5}`),
      svg("text", { x: X - wide / 2 - 21, y: (top + bottom) / 2 + 4, class: "small end" }, "+ x"),
    ] : []),
    svg("text", { x: X + wide / 2 + 42, y: (top + bottom) / 2 + 4, class: "weight start" }, "W"),
    svg("text", { x: X + wide / 2 + 53, y: (top + bottom) / 2 + 8, class: "sub start" }, "hh"),
    arrow(`M ${X} ${bottom + GAP - 5} V ${bottom + 3}`),
    svg("text", { x: X + 8, y: bottom + GAP / 2 + 5, class: "weight start" }, "W"),
    svg("text", { x: X + 19, y: bottom + GAP / 2 + 9, class: "sub start" }, "ih"),
  );
  marks[layer] = mark;
  return group;
}

export function head() {
  return svg("defs", {}, svg("marker", { id: "head", viewBox: "0 0 8 8", refX: 6, refY: 4,
    markerWidth: 7, markerHeight: 7, orient: "auto-start-reverse" },
  svg("path", { d: "M 0 0.5 L 7 4 L 0 7.5 z", class: "tip" })));
}

export function startFolded() {
  const foot = HEIGHT - 48;
  const top = foot - GAP - rows * BOX - (rows - 1) * GAP;
  input = svg("text", { x: X, y: foot + 25, class: "token" });
  output = svg("text", { x: X, y: top - GAP - 13, class: "token" });
  const layers = Array.from({ length: rows }, (_, k) => box(k));
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" },
    head(),
    svg("rect", { x: X - 60, y: foot, width: 120, height: 40, rx: 20, class: "pill" }), input,
    ...layers,
    ...(speaks ? [
      arrow(`M ${X} ${top - 3} V ${top - GAP + 5}`),
      svg("rect", { x: X - 70, y: top - GAP - 40, width: 140, height: 42, rx: 20, class: "pill out" }),
      output,
    ] : []));
  byId("folded").append(picture);
  onChange(() => {
    picture.setAttribute("aria-label", say("foldedLabel"));
    setText(input, cut(label(chosen.t), 12));
    if (speaks) setText(output, saidInWords(chosen.t, briefly));
    marks.forEach((mark, layer) => {
      mark.classList.toggle("chosen", layer === trace.chains[chosen.chain].layer);
    });
  }, "folded");
}
