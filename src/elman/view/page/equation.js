// The equation of a step, under each of its letters the shape it has here, and in words what it
// says beyond a plain step.

import { current, onChange } from "./chosen.js";
import { byId, el } from "./dom.js";
import { FUNCTIONS } from "./functions.js";
import { say, spoken } from "./language.js";
import { setMath, spelled } from "./math.js";
import { short } from "./numbers.js";
import { previousName } from "./step.js";
import { oneGate } from "./terms.js";
import { trace } from "./trace.js";

let drawnFor = null;

function term(symbol, shape) {
  const name = el("span", { class: "symbol" });
  setMath(name, symbol);
  return el("span", { class: "term" }, name, el("span", { class: "shape" }, shape));
}

function sign(text) {
  const found = el("span", { class: "sign" });
  setMath(found, text);
  return found;
}

function biases(H) {
  if (trace.concat || trace.biases === 1) return [sign("+"), term(trace.concat ? "b" : "b_ih", H)];
  return trace.biases ? [sign("+"), term("b_ih", H), sign("+"), term("b_hh", H)] : [];
}

// What f is of.
function inside(chain) {
  const { H, inputSize } = chain;
  let found = [
    term("W_ih", `${H} × ${inputSize}`), term("x_t", inputSize), sign("+"),
    term("W_hh", `${H} × ${H}`), term(previousName(chain), H), ...biases(H),
  ];
  if (chain.normWeight) found = [term("γ", H), sign("⊙ norm("), ...found, sign(") +"), term("β", H)];
  if (trace.clip !== null) found = [sign(`clip_{±${short(trace.clip)}}(`), ...found, sign(")")];
  return found;
}

function state(chain) {
  const { H } = chain;
  const f = [sign(`${trace.f === "identity" ? "" : trace.f}(`), ...inside(chain), sign(")")];
  if (!chain.g) return f;
  const g = oneGate(chain);
  const before = term(previousName(chain), H);
  if (g !== null) return [sign(short(1 - g)), before, sign(`+ ${short(g)}`), ...f];
  return [sign("(1 −"), term("g", H), sign(") ⊙"), before, sign("+"), term("g", H), sign("⊙"), ...f];
}

// What the layer gives on, where that is not h_t alone.
function given(chain) {
  const { H } = chain;
  const both = [term("h_{t →}", H), sign("+"), term("h_{t ←}", H)];
  const joined = trace.merge === "mean" ? [sign("("), ...both, sign(") / 2")] : both;
  return [term("o_t", H), sign("="), ...(trace.merge ? joined : [term("h_t", H)]),
    ...(chain.skipped ? [sign("+"), term("x_t", H)] : [])];
}

function aloud(parts) {
  return parts.map((part) => (part.className === "sign" ? part.textContent
    : `${spelled(part.firstChild.dataset.math)} [${part.lastChild.textContent}]`)).join(" ");
}

function gateNote(chain) {
  const leak = trace.learnLeak ? say("leakLearned") : trace.leak === null ? say("leakUnits") : trace.leak < 1 ? say("leakNote", { leak: trace.leak }) : "";
  const zoneout = trace.zoneout ? say("zoneoutNote", { zoneout: trace.zoneout }) : "";
  return [oneGate(chain) === null ? say("gateNote") : "", leak, zoneout];
}

function notes(chain) {
  const { f, own, clip } = trace;
  const formula = own ? null : FUNCTIONS[f].formula;
  return [
    trace.concat ? say("concatNote") : "",
    formula ? say("formula", { f, formula }) : "",
    own ? say("ownNote", { f }) : "",
    chain.normWeight ? say("normNote", { H: chain.H, eps: short(chain.eps) }) : "",
    clip === null ? "" : say("clipNote", { f, clip: short(clip) }),
    ...(chain.g ? gateNote(chain) : []),
    chain.output ? say("outputNote") : "",
    trace.off ? say("offNote") : "",
  ].filter(Boolean).join(spoken() === "zh" ? "" : " ");
}

export function startEquation() {
  const line = el("div", { class: "equation", role: "img" });
  const second = el("div", { class: "equation", role: "img" });
  const note = el("p", { class: "note" });
  byId("equation").append(line, second, note);
  onChange(() => {
    const chain = current();
    const now = [spoken(), trace.chains.indexOf(chain)].join();
    setMath(note, notes(chain));
    if (drawnFor === now) return;
    drawnFor = now;
    second.hidden = !chain.output;
    for (const [of, parts] of [[line, [term("h_t", chain.H), sign("="), ...state(chain)]], [second, given(chain)]]) {
      of.replaceChildren(...parts);
      of.setAttribute("aria-label", `${say("equationLabel")}: ${aloud(parts)}`);
    }
  });
}
