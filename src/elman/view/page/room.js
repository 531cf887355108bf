// How wide things may be: measured when the window changes, never while drawing, since a look at
// the layout after a change costs the browser a new one.

import { redraw } from "./chosen.js";
import { byId } from "./dom.js";

const known = new Map();

// The width of an element, by its id, in the page's pixels.
export function widthOf(id) {
  if (!known.has(id)) known.set(id, Math.max(120, byId(id).clientWidth));
  return known.get(id);
}

window.addEventListener("resize", () => {
  known.clear();
  redraw();
});
