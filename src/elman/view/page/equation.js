// The equation of a step, and under each of its letters the shape it has here.

import { current, onChange } from "./chosen.js";
import { byId, el, setText } from "./dom.js";
import { say } from "./language.js";
import { setMath } from "./math.js";
import { previousName } from "./step.js";
import { trace } from "./trace.js";

let drawnFor = null;

function term(symbol, shape) {
  const name = el("span", { class: "symbol" });
  setMath(name, symbol);
  return el("span", { class: "term" }, name, el("span", { class: "shape" }, shape));
}

function sign(text) {
  return el("span", { class: "sign" }, text);
}

function terms(chain) {
  const { H } = trace.sizes;
  const F = chain.inputSize;
  const biases = trace.bias && !trace.concat
    ? [sign("+"), term("b_ih", H), sign("+"), term("b_hh", H)] : [];
  const one = trace.concat ? [sign("+"), term("b", H)] : biases;
  const name = trace.f === "identity" ? "" : trace.f;
  return [
    term("h_t", H), sign("="), sign(`${name}(`), term("W_ih", `${H} × ${F}`), term("x_t", F),
    sign("+"), term("W_hh", `${H} × ${H}`), term(previousName(chain), H), ...one, sign(")"),
  ];
}

export function startEquation() {
  const line = el("div", { class: "equation", role: "img" });
  const note = el("p", { class: "note" });
  byId("equation").append(line, note);
  onChange(() => {
    const chain = current();
    line.setAttribute("aria-label", `${say("equationLabel")}: h_t = ${trace.f}(W_ih x_t + W_hh h + b), `
      + `W_ih ${trace.sizes.H} × ${chain.inputSize}, W_hh ${trace.sizes.H} × ${trace.sizes.H}`);
    setText(note, trace.concat ? say("concatNote") : "");
    if (drawnFor === chain) return;
    drawnFor = chain;
    line.replaceChildren(...terms(chain));
  });
}
