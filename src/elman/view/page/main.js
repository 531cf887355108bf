// Everything in its place, then the first picture.

import { startArithmetic } from "./arithmetic.js";
import { choose, chosen, onChange, readAddress, redraw, writeAddress } from "./chosen.js";
import { startControls } from "./controls.js";
import { byId } from "./dom.js";
import { startEquation } from "./equation.js";
import { startFolded } from "./folded.js";
import { startHeading } from "./heading.js";
import { startHeatmap } from "./heatmap.js";
import { startLanguage } from "./language.js";
import { startMemory } from "./memory.js";
import { startOutputs } from "./outputs.js";
import { startStep } from "./step.js";
import { trace } from "./trace.js";
import { startUnrolled } from "./unrolled.js";

// The unit to begin with: the one whose state is strongest at the end.
function strongest() {
  const chain = trace.chains[chosen.chain];
  const last = chain.row(chain.h, chosen.t);
  let unit = 0;
  last.forEach((value, i) => { if (Math.abs(value) > Math.abs(last[unit])) unit = i; });
  return unit;
}

startLanguage();
startHeading();
startControls();
startFolded();
startUnrolled();
startEquation();
startStep();
startArithmetic();
startOutputs();
startHeatmap();
startMemory();
choose({ unit: strongest() });
readAddress();
window.addEventListener("hashchange", readAddress);
// By its address the link would lead out of a notebook's frame, whose base is the notebook.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("controls").focus();
});
onChange(writeAddress);
onChange(() => {
  if (document.documentElement.dataset.ready) return;
  document.documentElement.dataset.ready = "yes";
  performance.mark("ready"); // from here on it answers
});
redraw();
