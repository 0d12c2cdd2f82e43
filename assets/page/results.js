// What encoders answer: bars of probabilities, a matrix of similarities, a place in a text.

import { h } from "./dom.js";

const bars = (rows, how) =>
  h("ol", { class: "slm-bars" }, rows.map((row) =>
    h("li", { title: how },
      h("span", { class: "slm-bars-text" }, row.text.trim() || `“${row.text}”`),
      h("span", { class: "slm-bars-track", "aria-hidden": "true" },
        h("span", { style: `width:${(row.fraction * 100).toFixed(1)}%` })),
      h("span", { class: "slm-num" }, row.percent))));

function masks(value) {
  const several = value.masks.length > 1;
  return [
    h("p", { class: "slm-text" }, value.text.map((piece) =>
      piece.filled ? h("mark", { class: "slm-found" }, piece.text) : h("span", {}, piece.text))),
    value.masks.map((rows, index) => [
      several ? h("h4", { class: "slm-quiet" }, `Mask ${index + 1}`) : null,
      bars(rows, value.how),
    ]),
  ];
}

function matrix(value) {
  const number = (index) => h("b", { class: "slm-num" }, String(index + 1));
  return [
    h("div", { class: "slm-matrix-frame" },
      h("table", { class: "slm-matrix", title: value.how },
        h("thead", {}, h("tr", {}, h("td", {}),
          value.texts.map((text, index) => h("th", { scope: "col", title: text }, number(index))))),
        h("tbody", {}, value.rows.map((row, index) =>
          h("tr", {},
            h("th", { scope: "row", title: value.texts[index] },
              h("span", { class: "slm-matrix-label" }, number(index), ` ${value.texts[index]}`)),
            row.map((cell, other) =>
              h("td", { class: other === index ? "slm-num slm-same" : "slm-num", style: `--heat:${cell.fraction.toFixed(3)}`,
                title: `${index + 1} and ${other + 1}: ${cell.text}` }, cell.text))))))),
    value.closest ? h("p", {}, value.closest) : null,
  ];
}

function spans(value) {
  if (!value.found) return [h("p", {}, "No answer was found in the text.")];
  return [
    h("p", { class: "slm-text slm-context" }, h("span", {}, value.found.before),
      h("mark", { class: "slm-found" }, value.found.answer), h("span", {}, value.found.after)),
    bars(value.spans, value.how),
  ];
}

const KINDS = { masks, matrix, spans, labels: (value) => [bars(value.labels, value.how)] };

export const result = (value) => h("div", { class: `slm-result slm-result-${value.kind}` }, KINDS[value.kind](value));
