"use strict";
(() => {
  const root = document.documentElement;
  const button = document.getElementById("language");
  const speak = (language) => {
    root.dataset.language = language;
    root.lang = language === "zh" ? "zh-CN" : "en";
    button.textContent = language === "zh" ? "English" : "中文";
    button.lang = language === "zh" ? "en" : "zh-CN";
    for (const named of document.querySelectorAll("[data-en]")) {
      const words = named.dataset[language];
      if (named.tagName === "TITLE") document.title = words;
      else named.setAttribute("aria-label", words);
    }
  };
  const first = (navigator.languages && navigator.languages[0]) || navigator.language || "en";
  const chosen = /^language (en|zh)$/.exec(window.name); // the tab's name outlives a reload
  speak(chosen ? chosen[1] : first.toLowerCase().startsWith("zh") ? "zh" : "en");
  button.addEventListener("click", () => {
    speak(root.dataset.language === "zh" ? "en" : "zh");
    window.name = `language ${root.dataset.language}`;
  });

  // the numbers under the pointer, out of the chart's own table
  for (const figure of document.querySelectorAll("figure.chart")) {
    const rows = [...figure.querySelectorAll("tbody tr")];
    const heads = [...figure.querySelectorAll("thead th")];
    const readout = figure.querySelector(".readout");
    const read = (svg, event) => {
      const box = svg.getBoundingClientRect();
      const { left, right, x0, x1 } = svg.dataset;
      const scale = svg.viewBox.baseVal.width / box.width;
      const share = ((event.clientX - box.left) * scale - left) / (right - left);
      const wanted = Number(x0) + share * (x1 - x0);
      const far = (row) => Math.abs(Number(row.dataset.x) - wanted);
      const row = rows.reduce((best, other) => (far(other) < far(best) ? other : best));
      const place = Number(left) + ((row.dataset.x - x0) / (x1 - x0)) * (right - left);
      svg.querySelector(".cross").setAttribute("transform", `translate(${place} 0)`);
      readout.replaceChildren(
        ...[...row.children].map((cell, k) => {
          const item = document.createElement("i");
          const value = document.createElement("b");
          value.textContent = cell.textContent;
          item.append(...[...heads[k].childNodes].map((node) => node.cloneNode(true)), value);
          return item;
        }),
      );
      figure.classList.add("reading");
    };
    for (const svg of figure.querySelectorAll(":scope > svg")) {
      svg.addEventListener("pointermove", (event) => read(svg, event));
      svg.addEventListener("pointerdown", (event) => read(svg, event));
      svg.addEventListener("pointerleave", () => {
        figure.classList.remove("reading");
        readout.replaceChildren();
      });
    }
  }
})();
