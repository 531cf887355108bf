// One small box that says the number under the pointer, or at the focus.

import { byId, setText } from "./dom.js";

const tip = byId("tip");

export function showTip(text, x, y) {
  setText(tip, text);
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(Math.max(8, x - width / 2), document.documentElement.clientWidth - width - 8);
  tip.style.left = `${left}px`;
  tip.style.top = `${y - height - 12 < 4 ? y + 18 : y - height - 12}px`;
}

export function hideTip() {
  tip.hidden = true;
}
