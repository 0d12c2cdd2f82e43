// The meters: who has the memory, gauges with ten minutes of history, one row a process, energy.

import { button, h } from "./dom.js";
import { energy } from "./meters_energy.js";
import { picture } from "./meters_picture.js";

const WIDTH = 240;
const HEIGHT = 44;

// Points are [seconds ago, value 0..1] or a null value where nothing was measured.
export function sparkline(points, span, label) {
  const runs = [[]];
  for (const [ago, value] of points)
    value === null ? runs.push([])
      : runs[runs.length - 1].push(`${(WIDTH * (1 - ago / span)).toFixed(1)},${(1 + (HEIGHT - 2) * (1 - Math.min(1, value))).toFixed(1)}`);
  return h("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "slm-spark", role: "img", "aria-label": label },
    h("line", { x1: 0, y1: HEIGHT - 0.5, x2: WIDTH, y2: HEIGHT - 0.5 }),
    runs.filter((run) => run.length).map((run) => h("polyline", { points: run.join(" ") })));
}

const gauge = (each, span) =>
  h("section", { class: "slm-meter", id: `slm-meter-${each.id}` },
    h("header", {}, h("h3", {}, each.title), h("span", { class: "slm-num slm-value" }, each.text)),
    each.points ? sparkline(each.points, span, `${each.title}, the last ten minutes`) : null,
    each.cores ? h("div", { class: "slm-cores" }, each.cores.map((core, index) =>
      h("span", { class: "slm-core", title: `Core ${index}: ${core.text}` },
        h("span", { style: `height:${core.fraction * 100}%` })))) : null,
    each.details.length ? h("p", { class: "slm-details slm-num" }, each.details.map((detail) =>
      h("span", { title: detail.title, tabindex: 0 }, detail.text))) : null,
    h("p", { class: "slm-quiet" }, each.note));

const processes = (value, trigger) =>
  h("section", { class: "slm-meter", id: "slm-meter-models" },
    h("header", {}, h("h3", {}, "Processes"), h("span", { class: "slm-quiet" },
      value.models ? `${value.models} loaded ${value.models === 1 ? "model" : "models"}` : "no model is loaded; the first prompt loads what its lanes need")),
    h("div", { class: "slm-scroll" }, h("table", { class: "slm-table" },
      h("thead", {}, h("tr", {}, value.columns.map((column) =>
        h("th", { scope: "col", title: column.title, class: column.number ? "slm-right" : "" }, column.text)), h("th", {}))),
      h("tbody", {}, value.rows.map((row) =>
        h("tr", { "data-key": row.key, key: row.key },
          row.cells.map((cell, index) =>
            h("td", { class: value.columns[index].number ? "slm-right slm-num" : "", "data-name": value.columns[index].text,
              "data-empty": cell === value.nothing ? "" : null,
              title: index === row.cells.length - 1 && row.energy_title ? row.energy_title : null },
              index === 0 ? h("span", { class: `slm-swatch slm-part-${row.colour}` }) : null, cell)),
          h("td", {}, row.may_unload
            ? button("Unload", `End the process of ${row.cells[0]} and give its memory back`, () => trigger("end_worker", { key: row.key }))
            : null)))))));

export function meters(value, { trigger, local, redraw }) {
  if (!value.gauges) return [h("p", { class: "slm-quiet" }, "Reading the meters…")];
  return [
    h("p", { class: `slm-alarm slm-alarm-${value.alarm.level}`, role: "alert", hidden: value.alarm.sentence ? null : "" }, value.alarm.sentence),
    picture(value.picture),
    h("div", { class: "slm-gauges" }, value.gauges.map((each) => gauge(each, value.span_s))),
    processes(value, trigger),
    value.energy ? energy(value.energy, { local, redraw }) : null,
  ];
}
