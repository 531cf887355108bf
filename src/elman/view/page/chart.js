// Lines over the steps, with an axis on the left and the chosen step marked. All charts over time
// have one left edge and one width, so that a step stands in one column down the page.

import { choose, chosen, onChange, stepNumber } from "./chosen.js";
import { el, frame, setText, svg } from "./dom.js";
import { brief, label } from "./labels.js";
import { say, spoken } from "./language.js";
import { short } from "./numbers.js";
import { widthOf } from "./room.js";
import { trace } from "./trace.js";
import { hideTip, showTip } from "./tip.js";

export const LEFT = 46;
export const RIGHT = 14;

// The middle of a step's column, in a chart of that width over so many columns.
export function across(t, width, columns = trace.L) {
  return LEFT + ((t + 0.5) / columns) * (width - LEFT - RIGHT);
}

export class Chart {
  // high: of the plot. log: whether the axis is. after: columns after the last step.
  // home: the id of the element whose width it takes.
  constructor({ high = 120, log = false, after = 0, name, home }) {
    Object.assign(this, { high, log, home, columns: trace.L + after });
    this.title = el("h3");
    this.note = el("p", { class: "note" });
    this.readout = el("output", { class: "readout", "data-chart": name, "aria-live": "off" });
    this.picture = svg("svg", { class: "chart", role: "img" });
    this.legend = el("ul", { class: "legend" });
    this.element = el("div", { class: "chart-block", "data-chart": name },
      el("div", { class: "heading" }, this.title, this.readout), this.note, this.legend, this.picture);
    this.cursor = svg("line", { class: "cursor", y1: 4, y2: high + 8 });
    this.width = 0;
    this.picture.addEventListener("pointerdown", (event) => this.drag(event, true));
    this.picture.addEventListener("pointermove", (event) => this.drag(event, event.buttons === 1));
    this.picture.addEventListener("pointerleave", hideTip);
  }

  drag(event, pick) {
    const x = event.clientX - this.picture.getBoundingClientRect().left - LEFT;
    const t = Math.floor((x / (this.width - LEFT - RIGHT)) * this.columns);
    if (t < 0 || t >= trace.L) return hideTip();
    if (pick) choose({ t });
    return showTip(this.tip?.(t) ?? say("atStep", { step: stepNumber(t) }), event.clientX, event.clientY);
  }

  y(value) {
    const [low, most] = this.range;
    const share = this.log
      ? (Math.log10(Math.max(value, 1e-300)) - Math.log10(low)) / (Math.log10(most) - Math.log10(low))
      : (value - low) / (most - low);
    return 8 + (1 - Math.max(0, Math.min(1, share))) * this.high;
  }

  // lines: [{values, kind}], each value null where there is none. range: [low, high].
  draw({ lines, range, ticks, extra = [] }) {
    this.range = range;
    this.width = widthOf(this.home);
    frame(this.picture, this.width, this.high + 30);
    const parts = [...this.axis(ticks), ...timeAxis(this.width, this.high + 8, this.columns)];
    for (const line of lines) parts.push(...this.line(line));
    this.picture.replaceChildren(...parts, ...extra, this.cursor);
    this.move();
  }

  axis(ticks) {
    return ticks.flatMap((value) => {
      const y = this.y(value);
      return [svg("line", { class: "grid", x1: LEFT, x2: this.width - RIGHT, y1: y, y2: y }),
        svg("text", { class: "tick end", x: LEFT - 6, y: y + 4 }, short(value))];
    });
  }

  line({ values, kind }) {
    let path = "";
    values.forEach((value, t) => {
      if (value === null || Number.isNaN(value)) return;
      const pen = t && values[t - 1] !== null && path ? "L" : "M";
      path += `${pen}${across(t, this.width, this.columns).toFixed(1)} ${this.y(value).toFixed(1)}`;
    });
    const found = [svg("path", { class: `line ${kind}`, d: path })];
    if (values.length <= 40) {
      values.forEach((value, t) => {
        if (value === null) return;
        found.push(svg("circle", { class: `dot ${kind}`, r: 2.6, cx: across(t, this.width, this.columns), cy: this.y(value) }));
      });
    }
    return found;
  }

  move() {
    const x = across(chosen.t, this.width, this.columns);
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
  }

  name(names) {
    const items = names.map(([kind, text]) => el("li", {},
      svg("svg", { width: 26, height: 10, "aria-hidden": "true" }, svg("path", { class: `line ${kind}`, d: "M 1 5 H 25" })), text));
    this.legend.replaceChildren(...items);
  }
}

// The steps' names under a plot, as many as have room.
export function timeAxis(width, y, columns = trace.L) {
  const room = (width - LEFT - RIGHT) / columns;
  const wide = Math.max(...trace.steps.slice(0, 200).map((_, t) => [...brief(label(t))].length)) * 9 + 10;
  const every = Math.max(1, Math.ceil(Math.max(16, wide) / room));
  const found = [];
  for (let t = 0; t < trace.L; t += every) {
    found.push(svg("text", { class: "tick", x: across(t, width, columns), y: y + 15 }, brief(label(t))));
  }
  return found;
}

// Redraws when the language, the size or what it shows changed; else moves the mark alone.
export function keepDrawn(chart, key, draw, always) {
  let drawn = null;
  onChange(() => {
    const now = [spoken(), widthOf(chart.home), key()].join();
    if (now !== drawn) {
      drawn = now;
      draw();
    } else chart.move();
    always?.();
  }, chart.home);
}

// Round numbers between two, about five of them.
export function roundTicks(low, high) {
  const size = 10 ** Math.floor(Math.log10((high - low) / 4 || 1));
  const step = [1, 2, 5, 10].map((k) => k * size).find((k) => (high - low) / k <= 5) ?? size;
  const found = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-9; v += step) {
    found.push(Math.abs(v) < step * 1e-9 ? 0 : v);
  }
  return found;
}

// put: how the title is written, as it is or with what stands below the line (setMath).
export function setHeading(chart, title, note = "", put = setText) {
  put(chart.title, title);
  setText(chart.note, note);
}
