// The bar at the top: buttons, the slider over steps, speed and layer; and the page's keys.

import { choose, chosen, onChange, stepNumber } from "./chosen.js";
import { byId, el, setText } from "./dom.js";
import { icon } from "./icons.js";
import { label } from "./labels.js";
import { say } from "./language.js";
import { trace } from "./trace.js";

const SPEEDS = [1, 2, 5, 10, 30];
let playing = null;
let speed = 2;

const buttons = {
  first: button("first", () => go(0)),
  back: button("back", () => go(chosen.t - 1)),
  play: button("play", () => toggle()),
  next: button("next", () => go(chosen.t + 1)),
  last: button("last", () => go(trace.L - 1)),
};
const slider = el("input", { type: "range", id: "steps", min: 0, max: trace.L - 1, step: 1,
  input: (event) => go(Number(event.target.value)) });
const where = el("output", { id: "where", for: "steps" });
const pace = el("select", { id: "speed", change: (event) => {
  speed = Number(event.target.value);
  if (playing) start();
} });
const layers = el("select", { id: "layers",
  change: (event) => choose({ chain: Number(event.target.value) }) });

function button(name, press) {
  return el("button", { type: "button", id: `to-${name}`, click: press }, icon(name));
}

function go(t) {
  stop();
  choose({ t });
}

function toggle() {
  if (playing) stop();
  else start();
}

function start() {
  stop();
  if (chosen.t >= trace.L - 1) choose({ t: 0 });
  playing = setInterval(() => {
    if (chosen.t >= trace.L - 1) stop();
    else choose({ t: chosen.t + 1 });
  }, 1000 / speed);
  draw();
}

function stop() {
  clearInterval(playing);
  playing = null;
  draw();
}

export function layerName(chain) {
  const name = say(chain.reverse ? "layerReverse" : "layerForward", { layer: chain.layer + 1 });
  return trace.directions > 1 && !chain.reverse ? name + say("forward") : name;
}

function fill(select, names, value) {
  if (select.options.length !== names.length) {
    select.replaceChildren(...names.map((_, k) => el("option", { value: k })));
  }
  names.forEach((name, k) => setText(select.options[k], name));
  select.value = value;
}

function draw() {
  for (const [name, element] of Object.entries(buttons)) {
    const word = say(name === "play" && playing ? "pause" : name);
    element.setAttribute("aria-label", word);
    element.title = word;
  }
  const sign = playing ? "pause" : "play";
  if (buttons.play.dataset.sign !== sign) buttons.play.replaceChildren(icon(sign));
  buttons.play.dataset.sign = sign;
  buttons.first.disabled = buttons.back.disabled = chosen.t === 0;
  buttons.next.disabled = buttons.last.disabled = chosen.t === trace.L - 1;
  slider.value = chosen.t;
  const text = say("stepOf", { step: stepNumber(chosen.t), of: trace.of, label: label(chosen.t) });
  slider.setAttribute("aria-label", say("stepSlider"));
  slider.setAttribute("aria-valuetext", text);
  setText(where, text);
  fill(pace, SPEEDS.map((n) => say("perSecond", { n })), 0);
  [...pace.options].forEach((option, k) => { option.value = SPEEDS[k]; });
  pace.value = speed;
  pace.setAttribute("aria-label", say("speed"));
  layers.setAttribute("aria-label", say("layerDirection"));
  if (trace.chains.length > 1) fill(layers, trace.chains.map(layerName), chosen.chain);
}

const KEYS = {
  ArrowLeft: () => go(chosen.t - 1),
  ArrowRight: () => go(chosen.t + 1),
  Home: () => go(0),
  End: () => go(trace.L - 1),
  ArrowUp: () => choose({ unit: chosen.unit - 1 }),
  ArrowDown: () => choose({ unit: chosen.unit + 1 }),
  "[": () => choose({ chain: chosen.chain - 1 }),
  "]": () => choose({ chain: chosen.chain + 1 }),
  " ": toggle,
};

function onKey(event) {
  const busy = event.target.closest("input, select, summary, textarea");
  const pressed = event.key === " " && event.target.closest("button, a");
  if (busy || pressed || event.ctrlKey || event.metaKey || event.altKey) return;
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

export function startControls() {
  byId("controls").append(
    el("div", { class: "buttons" }, ...Object.values(buttons)),
    slider, where, pace, ...(trace.chains.length > 1 ? [layers] : []),
  );
  document.addEventListener("keydown", onKey);
  onChange(draw);
}
