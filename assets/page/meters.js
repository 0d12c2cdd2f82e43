// The meters: gauges with two minutes of history, and one row a worker.

import { button, h } from "./dom.js";

const WIDTH = 240;
const HEIGHT = 44;

// Points are [seconds ago, value 0..1] or a null value where nothing was measured.
function sparkline(points, span, label) {
  const runs = [[]];
  for (const [ago, value] of points)
    value === null ? runs.push([])
      : runs[runs.length - 1].push(`${(WIDTH * (1 - ago / span)).toFixed(1)},${(1 + (HEIGHT - 2) * (1 - Math.min(1, value))).toFixed(1)}`);
  return h("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "slm-spark", role: "img", "aria-label": label },
    h("line", { x1: 0, y1: HEIGHT - 0.5, x2: WIDTH, y2: HEIGHT - 0.5 }),
    runs.filter((run) => run.length).map((run) => h("polyline", { points: run.join(" ") })));
}

export function meters(value, { trigger }) {
  if (!value.gauges) return [h("p", { class: "slm-quiet" }, "Reading the meters…")];
  return [
    h("div", { class: "slm-gauges" }, value.gauges.map((gauge) =>
      h("section", { class: "slm-meter", id: `slm-meter-${gauge.id}` },
        h("header", {}, h("h3", {}, gauge.title), h("span", { class: "slm-num slm-value" }, gauge.text)),
        gauge.points ? sparkline(gauge.points, value.span_s, `${gauge.title}, the last two minutes`) : null,
        gauge.cores ? h("div", { class: "slm-cores" }, gauge.cores.map((core, index) =>
          h("span", { class: "slm-core", title: `Core ${index}: ${core.text}` },
            h("span", { style: `height:${core.fraction * 100}%` })))) : null,
        h("p", { class: "slm-quiet" }, gauge.note)))),
    h("section", { class: "slm-meter", id: "slm-meter-models" },
      h("header", {}, h("h3", {}, "Loaded models"), h("span", { class: "slm-quiet" }, value.workers_note)),
      value.workers.length
        ? h("div", { class: "slm-scroll" }, h("table", { class: "slm-table" },
            h("thead", {}, h("tr", {}, value.columns.map((column) =>
              h("th", { scope: "col", title: column.title, class: column.number ? "slm-right" : "" }, column.text)), h("th", {}))),
            h("tbody", {}, value.workers.map((worker) =>
              h("tr", { "data-key": worker.key },
                worker.cells.map((cell, index) =>
                  h("td", { class: value.columns[index].number ? "slm-right slm-num" : "" }, cell)),
                h("td", {}, worker.may_unload
                  ? button("Unload", `End the process of ${worker.cells[0]} and give its memory back`, () => trigger("end_worker", { key: worker.key }))
                  : null))))))
        : h("p", { class: "slm-quiet" }, "No model is loaded. The first prompt loads what its lanes need.")),
  ];
}
