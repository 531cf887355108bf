// The top of the page: what was read, by what, and what it came to; and its foot.

import { cut } from "./apart.js";
import { onChange, stepNumber } from "./chosen.js";
import { byId, el, setText } from "./dom.js";
import { label, said, visible } from "./labels.js";
import { say, spoken } from "./language.js";
import { network } from "./network.js";
import { percent } from "./numbers.js";
import { trace } from "./trace.js";

function answer() {
  const end = trace.L - 1;
  const steps = trace.of;
  const out = trace.outputs;
  const last = said(end);
  if (out.kind === "classes") {
    const name = visible(out.answer);
    const told = say("classifyAnswer", { steps, name, p: percent(last.p) });
    const decided = out.decided
      ? say("classifyDecided", { step: stepNumber(out.decided), label: label(out.decided), name })
      : trace.first ? "" : say("classifyAlways", { name });
    const unnamed = trace.advice.trained ? "" : say("notClasses");
    return [told, decided, unnamed];
  }
  if (out.kind === "tokens") return [say("generateAnswer", { steps, name: last.name, p: percent(last.p) })];
  if (out.kind === "forecast") {
    return [say("forecastAnswer", { steps, name: visible(out.columns[0]), value: last.name, label: out.following[0] })];
  }
  const sizes = trace.sizes.H.filter((_, k) => k % trace.directions === 0); // of the layers
  return [say("layerAnswer", { steps, H: new Set(sizes).size > 1 ? sizes.join(", ") : sizes[0] })];
}

function about() {
  const told = [say("aboutNumbers")];
  if (trace.L < trace.of) {
    told.push(say("aboutSteps", { from: stepNumber(0), to: trace.of, of: trace.of }));
  }
  for (const chain of trace.chains) {
    const { H } = chain;
    if (chain.U < H) told.push(say("aboutUnits", { shown: chain.U, of: H }));
    if (chain.layer === 0 && chain.P < chain.inputSize) {
      told.push(say("aboutInputs", { shown: chain.P, of: chain.inputSize }));
    }
  }
  return [...new Set(told), say("aboutVersions", trace.versions), say("keys")];
}

export function startHeading() {
  byId("title").classList.toggle("long", trace.title.length > 60);
  const unnamed = trace.title === trace.network;
  const title = cut(visible(trace.title), 120);
  onChange(() => {
    setText(byId("title"), unnamed ? cut(network(trace.network), 120) : title);
    setText(byId("network-line"), unnamed ? "" : network(trace.network));
    setText(byId("answer"), answer().filter(Boolean).join(spoken() === "zh" ? "" : " "));
    const words = about();
    const foot = byId("about");
    if (foot.textContent !== [say("about"), ...words].join("")) {
      foot.replaceChildren(el("h2", {}, say("about")), ...words.map((text) => el("p", {}, text)));
    }
  });
}
