// The header strip: memory, CPU and loaded models on every tab, each a click from its meter.

import { bar, h } from "./dom.js";

export function strip(value, { go }) {
  return [
    h("strong", { class: "slm-brand" }, "SLM Explorer"),
    (value.items || []).map((item) =>
      h("button", { type: "button", class: "slm-gauge", title: item.title, onclick: () => go("Meters", item.meter) },
        h("span", { class: "slm-label" }, item.label), item.fraction === null ? null : bar(item.fraction, item.label), h("span", { class: "slm-num" }, item.text))),
    value.alarm ? h("p", { class: "slm-alarm", role: "alert" }, value.alarm) : null,
  ];
}
