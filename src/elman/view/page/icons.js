// The signs on the buttons, drawn: not every font has them.

import { svg } from "./dom.js";

const SHAPES = {
  first: "M3 3h2v10H3z M13 3v10L6 8z",
  back: "M10.5 2.5 12 4 8 8l4 4-1.5 1.5L5 8z",
  play: "M4 2.5v11L13.5 8z",
  pause: "M4 3h3v10H4z M9 3h3v10H9z",
  next: "M5.5 2.5 4 4l4 4-4 4 1.5 1.5L11 8z",
  last: "M11 3h2v10h-2z M3 3v10l7-5z",
};

export function icon(name) {
  return svg("svg", { viewBox: "0 0 16 16", width: 16, height: 16, class: "icon", "aria-hidden": "true" },
    svg("path", { d: SHAPES[name] }));
}
