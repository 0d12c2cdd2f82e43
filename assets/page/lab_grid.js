// What each matrix got: layers by modules, filling in as a run goes on. The grid is one stop of
// the Tab key; arrows move inside it, and what a cell says stands below.

import { h } from "./dom.js";

function look(cell) {
  if (!cell) return { class: "slm-lab-none" };
  return { class: `slm-lab-cell slm-lab-${cell.state}`, style: `--heat:${cell.heat.toFixed(3)}` };
}

export function grid(value, { local, redraw }) {
  const show = (key) => () => { if (local.cell !== key) { local.cell = key; redraw(); } };
  const spoken = {};
  const cell = (key, each, label) => {
    if (!each) return h("td", { class: "slm-lab-none" });
    spoken[key] = each.said;
    const first = Object.keys(spoken).length === 1;
    return h("td", { ...look(each), "data-key": key, tabindex: local.cell === key || (!local.cell && first) ? 0 : -1, "aria-label": each.said,
      onmouseenter: show(key), onfocus: show(key), onclick: show(key) }, label ?? each.text);
  };
  const move = (event) => {
    const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    const here = event.target.closest("td");
    if (!steps || !here) return;
    event.preventDefault();
    let to = here;
    do {
      const row = steps[0] ? to.parentNode[steps[0] > 0 ? "nextElementSibling" : "previousElementSibling"] : to.parentNode;
      to = row?.children[to.cellIndex + steps[1]];
    } while (to && to.localName === "td" && !to.hasAttribute("data-key"));
    if (to?.hasAttribute("data-key")) to.focus();
  };
  if (!value.rows.length && !value.apart.length) return [];
  const table = h("div", { class: "slm-lab-frame" },
    h("table", { class: "slm-lab-grid", onkeydown: move, "aria-label": "Relative error of each matrix, in per cent" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "layer"), value.columns.map((each) => h("th", { scope: "col", title: each.title }, each.label)))),
      h("tbody", {}, value.rows.map((row) =>
        h("tr", {}, h("th", { scope: "row", title: row.title }, row.label), row.cells.map((each, i) => cell(`${row.title} ${i}`, each)))))));
  const apart = value.apart.length
    ? h("div", { class: "slm-lab-apart" }, h("table", { class: "slm-lab-grid", onkeydown: move, "aria-label": "Outside of the layers" },
        h("tbody", {}, value.apart.map((each) => h("tr", {}, h("th", { scope: "row" }, each.label), cell(`apart ${each.label}`, each))))))
    : null;
  return [
    value.rows.length ? table : null,
    apart,
    h("p", { class: "slm-lab-said slm-num" }, spoken[local.cell] || "Relative error in per cent: how far the stored weights are from the parent's. Point at a cell for what it got."),
    h("p", { class: "slm-lab-scale slm-quiet", "aria-hidden": "true" }, "0 %", h("span", { class: "slm-lab-ramp" }), "25 % or more",
      h("span", { class: "slm-lab-key" }, h("i", { class: "slm-lab-cell slm-lab-kept" }, "–"), " unchanged"),
      h("span", { class: "slm-lab-key" }, h("i", { class: "slm-lab-cell slm-lab-waiting" }), " to come")),
  ].filter(Boolean);
}
