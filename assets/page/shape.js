// Measure a model's shape here: random weights, nothing to download.

import { button, h } from "./dom.js";

export function shape(value, { trigger, redraw, local }) {
  if (!value.id) return [];
  local.recipe ||= "native";
  const off = value.refused || value.running;
  return [
    h("section", { class: "slm-shape-panel", "aria-label": "Measure its shape here" },
      value.refused
        ? h("p", { class: "slm-quiet" }, value.refused)
        : h("div", { class: "slm-wish" },
            button(value.running ? "Measuring…" : "Measure its shape here", "Random weights of these sizes; nothing is downloaded",
              () => trigger("measure", { recipe: local.recipe }), { disabled: off ? "" : null }),
            value.running ? button("Stop", "End the measurement; nothing of it is kept", () => trigger("stop", {})) : null,
            h("label", { class: "slm-field" }, h("span", { class: "slm-label" }, "loaded as"),
              h("select", { "aria-label": "Weights to measure", onchange: (event) => { local.recipe = event.target.value; redraw(); } },
                value.recipes.map(([key, text]) => h("option", { value: key, selected: key === local.recipe ? "" : null }, text))))),
      h("div", { role: "status" }, value.line ? h("p", { class: "slm-quiet" }, value.line) : null),
      value.error ? h("p", { class: "slm-error", role: "alert" }, value.error) : null,
      value.results.map((each) =>
        h("div", { class: "slm-shape-result" },
          h("p", { class: "slm-num" }, h("strong", {}, each.recipe), `: ${each.speed} · ${each.prefill} · ${each.memory}`),
          h("p", { class: "slm-quiet" }, each.note)))),
  ];
}
