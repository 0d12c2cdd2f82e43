// The hours behind the ten minutes, read when asked for, and all of it as a file.

import { button, h } from "./dom.js";
import { sparkline } from "./meters.js";

export function save(file) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([file.text], { type: "text/csv" }));
  link.download = file.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

export function hours(value, { trigger, local }) {
  if (value.file && value.file.id !== local.saved) {
    local.saved = value.file.id;
    save(value.file);
  }
  return [
    h("section", { class: "slm-meter", id: "slm-meter-hours" },
      h("header", {}, h("h3", {}, "Hours before"),
        h("span", { class: "slm-actions" },
          button("Show", "Memory and CPU of the last 24 hours, one point a minute", () => trigger("show_hours")),
          button("Save seconds", "The last ten minutes, one row a second, as CSV", () => trigger("save_seconds")),
          button("Save minutes", "Up to seven days, one row a minute, as CSV", () => trigger("save_minutes")))),
      value.note ? h("p", { class: "slm-quiet" }, value.note) : null,
      (value.charts || []).map((chart) => h("div", { key: chart.title },
        h("p", {}, chart.title), sparkline(chart.points, value.span_s, chart.title),
        h("p", { class: "slm-axis slm-quiet slm-num" }, h("span", {}, "24 h ago"), h("span", {}, chart.text), h("span", {}, "now"))))),
  ];
}
