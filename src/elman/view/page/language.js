// Which language the page speaks: first the browser's, then whichever is chosen.

import { en } from "./words_en.js";
import { zh } from "./words_zh.js";
import { redraw } from "./chosen.js";

const WORDS = { en, zh };
let language = (navigator.languages ?? [navigator.language])
  .map((name) => name.slice(0, 2).toLowerCase()).find((name) => name in WORDS) ?? "en";

// A sentence by its name, with what goes in its places; {n|step|steps} counts.
export function say(name, parts = {}) {
  const filled = (whole, part, one, many) => {
    if (parts[part] === undefined) return whole;
    return many === undefined ? parts[part] : `${parts[part]} ${parts[part] === 1 ? one : many}`;
  };
  return WORDS[language][name].replace(/\{([A-Za-z]+)(?:\|([^|}]*)\|([^}]*))?\}/g, filled);
}

export function saysToo(name) {
  return name in WORDS[language];
}

export function spoken() {
  return language;
}

function settle() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-word]")) {
    element.textContent = say(element.dataset.word);
  }
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === language));
  }
}

export function startLanguage() {
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => {
      language = button.dataset.language;
      settle();
      redraw();
    });
  }
  settle();
}
