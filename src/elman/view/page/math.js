// Symbols with what stands below the line: "W_ih x_t", "h_{t−1}". A name as leaky_relu is no symbol.

import { el } from "./dom.js";

const BELOW = /_(?:\{([^}]*)\}|(?<![A-Za-z]{2}_)([A-Za-z]+))/g;

export function setMath(element, text) {
  if (element.dataset.math === text) return;
  element.dataset.math = text;
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(BELOW)) {
    parts.push(text.slice(end, found.index), el("sub", {}, found[1] ?? found[2]));
    end = found.index + found[0].length;
  }
  element.replaceChildren(...parts, text.slice(end));
}

// As plain text, for what is read aloud.
export function spelled(text) {
  return text.replace(BELOW, (_, braced, plain) => ` ${braced ?? plain}`);
}
