// The header strip: memory, CPU and loaded models on every tab, each a click from its meter.

import { bar, h } from "./dom.js";

const EVERY_MS = 2000;

export function strip(given, { go, tab, local, redraw }) {
  if (!local.asks) {
    local.asks = true;
    ask(tab, local, redraw);
  }
  const value = local.asked?.at > (given.at ?? 0) ? local.asked : given;
  return [
    h("strong", { class: "slm-brand" }, "SLM Explorer"),
    (value.items || []).map((item) =>
      h("button", { type: "button", class: "slm-gauge", title: item.title, onclick: () => go("Meters", item.meter) },
        h("span", { class: "slm-label" }, item.label), item.fraction === null ? null : bar(item.fraction, item.label), h("span", { class: "slm-num" }, item.text))),
    value.alarm ? h("p", { class: "slm-alarm", role: "alert" }, value.alarm) : null,
  ];
}

// Beside Gradio's events, see ui/live.py, while the page is seen. The meters and the class bring
// the strip along with their own news.
async function ask(tab, local, redraw) {
  if (!document.hidden && tab() !== "Meters" && tab() !== "Class") {
    const answer = await fetch(new URL("slm-live/strip", document.baseURI)).catch(() => null);
    if (answer?.status === 200) {
      local.asked = await answer.json();
      redraw();
    }
  }
  setTimeout(() => ask(tab, local, redraw), EVERY_MS);
}
