// Small language models beside large ones.

import { h } from "./dom.js";

const unverified = (each) => (each.verified ? null : h("span", { class: "slm-chip slm-warn", title: each.source }, "from memory, unverified"));

export function beside(value) {
  return [
    h("div", { class: "slm-scroll" },
      h("table", { class: "slm-table" },
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Model"), h("th", { scope: "col", class: "slm-right" }, "Parameters"),
          value.precisions.map((name) => h("th", { scope: "col", class: "slm-right" }, name)),
          h("th", { scope: "col", class: "slm-right" }, `KV cache, ${value.tokens.toLocaleString("en")} tokens, f16`), h("th", { scope: "col" }, "Attention"))),
        h("tbody", {}, value.rows.map((row) =>
          h("tr", { title: row.source },
            h("td", {}, row.name, row.large ? h("span", { class: "slm-chip" }, "large") : null, unverified(row)),
            h("td", { class: "slm-right slm-num" }, row.parameters),
            row.weights.map((size) => h("td", { class: "slm-right slm-num" }, size)),
            h("td", { class: "slm-right slm-num" }, row.kv), h("td", {}, row.attention)))))),
    h("p", { class: "slm-quiet slm-source" }, "Weights alone, computed from the number of parameters; the scales of quantized weights are not counted."),
    h("h3", { class: "slm-part-title" }, "What numbers do not say"),
    h("div", { class: "slm-scroll" },
      h("table", { class: "slm-table slm-qualities" },
        h("thead", {}, h("tr", {}, ["", "Small", "Large"].map((title) => h("th", { scope: "col" }, title)))),
        h("tbody", {}, value.qualities.map((each) =>
          h("tr", { title: each.source }, h("td", {}, h("b", {}, each.aspect)), h("td", {}, each.small), h("td", {}, each.large)))))),
    value.harnesses.map((harness) => [
      h("h3", { class: "slm-part-title" }, harness.name),
      h("p", { class: "slm-quiet slm-source" }, `As published, ${harness.unit}; figures of different harnesses do not compare. Source: ${harness.source}`),
      h("div", { class: "slm-scroll" },
        h("table", { class: "slm-table slm-scores" },
          h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Model"), harness.columns.map((name) => h("th", { scope: "col", class: "slm-right" }, name)))),
          h("tbody", {}, harness.scores.map((score) =>
            h("tr", {}, h("td", {}, score.model), harness.columns.map((name) => h("td", { class: "slm-right slm-num" }, score.values[name] || "n/a"))))))),
    ]),
  ];
}
