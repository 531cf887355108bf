// A vector as a strip: a bar a value, above the line or below it, in the colour of its size.
// It is a slider over its values: the arrow keys go from one to the next.

import { choose } from "./chosen.js";
import { colour, ink } from "./colour.js";
import { el, setText, sized } from "./dom.js";
import { say } from "./language.js";
import { setMath, spelled } from "./math.js";
import { full } from "./numbers.js";
import { hideTip, showTip } from "./tip.js";

export class Strip {
  // symbol: what it is called. picks: whether a value of it is a unit to choose.
  constructor(symbol, picks) {
    this.symbol = symbol;
    this.picks = picks;
    this.at = 0;
    this.canvas = el("canvas", { tabindex: 0, role: "slider", "aria-valuemin": 0 });
    this.value = el("output", { class: "value", "aria-live": "off" });
    this.what = el("span", { class: "what" });
    this.name = el("span", { class: "symbol" });
    this.element = el("div", { class: "strip" },
      el("div", { class: "name" }, this.name, this.what), this.canvas, this.value);
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", hideTip);
    this.canvas.addEventListener("blur", hideTip);
    this.canvas.addEventListener("click", (event) => this.take(this.under(event)));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
  }

  // values: of the step. indices: their numbers in the network. at: which one is chosen.
  draw({ values, indices, scale, what, symbol, at }) {
    Object.assign(this, { values, indices, symbol });
    if (this.picks) this.at = at;
    this.at = Math.min(this.at, values.length - 1);
    setMath(this.name, symbol);
    setText(this.what, what);
    this.plan();
    const pen = sized(this.canvas, this.width, this.rows * this.high);
    this.ground(pen);
    for (let k = 0; k < values.length; k += 1) this.bar(pen, k, values[k], scale);
    this.mark(pen);
    setText(this.value, `[${indices[this.at]}] ${full(values[this.at])}`);
    this.value.dataset.value = values[this.at];
    const attributes = { "aria-label": say("stripLabel", { symbol: spelled(symbol), what }),
      "aria-valuemax": values.length - 1, "aria-valuenow": this.at,
      "aria-valuetext": this.words(this.at) };
    for (const [name, value] of Object.entries(attributes)) this.canvas.setAttribute(name, value);
  }

  words(k) {
    return say("stripValue", { symbol: spelled(this.symbol), index: this.indices[k], value: full(this.values[k]) });
  }

  // As few rows as let a value have six pixels.
  plan() {
    this.width = this.room;
    this.rows = 1;
    while (this.width / Math.ceil(this.values.length / this.rows) < 6) this.rows += 1;
    this.columns = Math.ceil(this.values.length / this.rows);
    this.cell = Math.min(26, this.width / this.columns);
    this.high = this.rows === 1 ? 38 : 26;
  }

  ground(pen) {
    pen.fillStyle = ink("--zero");
    for (let row = 0; row < this.rows; row += 1) {
      const many = Math.min(this.columns, this.values.length - row * this.columns);
      pen.fillRect(0, row * this.high + 1, many * this.cell, this.high - 2);
    }
  }

  bar(pen, k, value, scale) {
    const x = (k % this.columns) * this.cell;
    const y = Math.floor(k / this.columns) * this.high;
    const gap = this.cell > 8 ? 1.5 : 0.5;
    const middle = y + this.high / 2;
    const tall = Math.min(1, Math.abs(value) / scale) * (this.high / 2 - 3);
    pen.fillStyle = colour(value, scale);
    pen.fillRect(x, value > 0 ? middle - tall : middle, this.cell - gap, Math.max(tall, 1));
  }

  mark(pen) {
    const x = (this.at % this.columns) * this.cell;
    const y = Math.floor(this.at / this.columns) * this.high;
    pen.strokeStyle = ink("--ink");
    pen.lineWidth = 1.5;
    pen.strokeRect(x + 0.5, y + 1, Math.max(3, this.cell - 1.5), this.high - 2);
  }

  under(event) {
    const box = this.canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / this.cell);
    const k = Math.floor((event.clientY - box.top) / this.high) * this.columns + column;
    return column >= 0 && column < this.columns && k >= 0 && k < this.values.length ? k : null;
  }

  point(event) {
    const k = this.under(event);
    if (k === null) hideTip();
    else showTip(this.words(k), event.clientX, event.clientY);
  }

  take(k) {
    if (k === null) return;
    this.at = k;
    if (this.picks) choose({ unit: k });
    else this.changed();
  }

  key(event) {
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns,
      Home: -this.at, End: this.values.length - 1 - this.at };
    if (!(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const k = Math.max(0, Math.min(this.values.length - 1, this.at + moves[event.key]));
    this.take(k);
    const box = this.canvas.getBoundingClientRect();
    showTip(this.words(k), box.left + ((k % this.columns) + 0.5) * this.cell,
      box.top + Math.floor(k / this.columns) * this.high);
  }
}
